"""Colour jitter of batches: brightness, contrast, saturation and hue, in a random order for each image.

Source: torchvision's `ColorJitter`, on float images of 0..255, which are clipped after each step and not rounded.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from shiftbench.base.rng import RandomStream

LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601-2, as Pillow and torchvision turn colours to grey."""


def jitter(images: torch.Tensor, rng: RandomStream, strength: Sequence[float], share: float) -> torch.Tensor:
    """Jittered images.

    Args:
        images: float32 (n, 1 or 3, h, w), 0 to 255; grey ones are given brightness and contrast alone.
        rng: random words.
        strength: of brightness, contrast, saturation (factors from 1 - s to 1 + s, at least 0) and hue (-s to s).
        share: of the images that are jittered.
    """
    count, steps = len(images), (brightness, contrast, saturation, hue)
    met = rng.uniform(count) < share
    order = np.argsort(rng.uniform((count, len(steps))), axis=1, kind="stable")
    uniforms = 2 * rng.uniform((len(steps), count)) - 1
    active = [number for number in range(2 if images.shape[1] == 1 else 4) if strength[number]]
    out = images.clone()
    for place in range(len(steps)):
        for number in active:
            rows = torch.from_numpy(np.flatnonzero(met & (order[:, place] == number)))
            rows = rows.to(images.device)
            amount = _column(uniforms[number] * strength[number], images)[rows]
            if len(rows):
                out[rows] = steps[number](out[rows], amount)
    return out


def brightness(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Images (n, c, h, w) times 1 + amount (n, 1, 1, 1)."""
    return (images * (1 + amount).clamp(min=0)).clamp(0, 255)


def contrast(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Images whose distance to their mean grey is multiplied by 1 + amount."""
    return _from(grey(images).mean(dim=(1, 2, 3), keepdim=True), images, amount)


def saturation(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Colour images whose distance to their own grey is multiplied by 1 + amount."""
    return _from(grey(images), images, amount)


def hue(images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Colour images turned by `amount` of the colour circle, in HSV."""
    red, green, blue = images.unbind(1)
    high, low = images.max(1).values, images.min(1).values
    spread = high - low
    safe = torch.where(spread > 0, spread, torch.ones_like(spread))
    angle = torch.where(
        high == red,
        (green - blue) / safe,
        torch.where(high == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = (angle / 6 + amount[:, 0]) % 1
    return _from_hsv(turned, spread, high)


def grey(images: torch.Tensor) -> torch.Tensor:
    """Luma (n, 1, h, w); grey images are their own."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(LUMA, dtype=images.dtype, device=images.device)
    return (images * weights[:, None, None]).sum(1, keepdim=True)


def _from(origin: torch.Tensor, images: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    return (origin + (1 + amount).clamp(min=0) * (images - origin)).clamp(0, 255)


def _from_hsv(angle: torch.Tensor, spread: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """RGB: each channel is `high` less the part of `spread` that its place on the circle takes away."""
    channels = []
    for start in (5, 3, 1):
        place = (start + angle * 6) % 6
        channels.append(high - spread * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)


def _column(values: npt.NDArray[np.float32], images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(images.device)[:, None, None, None]
