"""Luma of colour images (Rec. 601) in OpenCV's integers."""

from __future__ import annotations

import torch

WEIGHTS = (9798, 19235, 3735)  # 32,768ths of red, green and blue


def grey(images: torch.Tensor) -> torch.Tensor:
    """Return images uint8 (n, c, h, w) as grey ones, int32 (n, h, w), 0 to 255."""
    if images.shape[1] == 1:
        return images[:, 0].int()
    red, green, blue = images.int().unbind(1)
    return (red * WEIGHTS[0] + green * WEIGHTS[1] + blue * WEIGHTS[2] + (1 << 14)) >> 15
