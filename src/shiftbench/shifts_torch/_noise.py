"""What the noise twins share: one 16-bit word for each value, in the order of the CPU's (h, w, channels)."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words


def words_for(images: torch.Tensor, words: Words) -> torch.Tensor:
    """Return 16-bit words int32 (n, c, h, w) for images (n, c, h, w)."""
    count, channels, height, width = images.shape
    drawn = words.words16(channels * height * width)
    return drawn.reshape(count, height, width, channels).permute(0, 3, 1, 2)
