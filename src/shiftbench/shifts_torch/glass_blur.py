"""Glass blur for a batch: the CPU file's integers; nothing differs.

The CPU copies pixel after pixel, from the last to the first: a pixel that is copied from a later one
gets what that one got. Here every pixel follows these pointers at once, twice as far with each step.
"""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import glass_blur as cpu
from shiftbench.shifts_torch import _blur

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return images as seen through frosted glass, uint8 (n, c, h, w)."""
    sigma, reach, rounds = cpu.constants(severity, profile)
    height, width = images.shape[2:]
    pixel = _levels.scale((height, width))
    pixels = _blur.gaussian(images, sigma, pixel, rounding=0.0).flatten(2)
    for farthest, near in cpu.passes(reach * pixel, rounds):
        drawn = words.words16(height * width).reshape(-1, height, width)
        sources = _followed(_sources(drawn, farthest, near))
        pixels = pixels.gather(2, sources[:, None].expand_as(pixels))
    return _blur.gaussian(pixels.reshape(images.shape), sigma, pixel)


def _sources(drawn: torch.Tensor, reach: int, near: int) -> torch.Tensor:
    """Return from which pixel each is copied, int64 (n, pixels), of 16-bit words (n, h, w)."""
    height, width = drawn.shape[1:]
    drawn = drawn.long()
    rest = ((drawn * 2 * reach & 0xFFFF) * 2 * reach) & 0xFFFF
    half = torch.where(rest < near, reach - 1, reach)
    right = drawn * 2 * half
    down = ((right & 0xFFFF) * 2 * half >> 16) - half
    right = (right >> 16) - half
    row = torch.arange(height, device=drawn.device)[:, None]
    column = torch.arange(width, device=drawn.device)
    edge = torch.minimum(
        torch.minimum(row - 1, height - row), torch.minimum(column - 1, width - column)
    )
    moves = torch.where(edge >= half, down * width + right, 0)
    return (row * width + column + moves).flatten(1)


def _followed(sources: torch.Tensor) -> torch.Tensor:
    """Return whose first content each pixel ends with, int64 (n, pixels)."""
    count = sources.shape[1]
    own = torch.arange(count, device=sources.device)
    pointers = torch.where(sources > own, sources, sources + count)  # from `count` on: has arrived
    for _ in range(count.bit_length()):
        onward = pointers.gather(1, pointers.clamp(max=count - 1))
        pointers = torch.where(pointers < count, onward, pointers)
    return pointers - count
