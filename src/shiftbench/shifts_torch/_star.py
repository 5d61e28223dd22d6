"""Stars in a batch, in the CPU's single operations."""

from __future__ import annotations

import torch

from shiftbench.shifts import _star as cpu
from shiftbench.shifts_torch._polar import polar


def rays(words: torch.Tensor) -> torch.Tensor:
    """Return numbers of rays of 16-bit words, of the words' shape."""
    return cpu.FEWEST + (words * (cpu.MOST - cpu.FEWEST) >> 16)


def star(
    shape: tuple[int, int],
    centre: tuple[torch.Tensor, torch.Tensor],
    reach: torch.Tensor,
    counts: torch.Tensor,
    pixel: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the CPU's nearness and distance off a ray's middle, float32 (n, h, w).

    Args:
        shape: (h, w).
        centre: rows and columns, float32 (n,).
        reach: lengths, float32 (n, 200), of which the first are used.
        counts: numbers of rays (n,).
        pixel: size of a pixel of a 224 px image.
    """
    squares, turns = polar(shape, *centre)
    place = (turns + 0.5) * counts[:, None, None].float()
    ray = torch.minimum(place.long(), counts[:, None, None] - 1)
    part = place - ray.float()
    after = torch.where(ray + 1 == counts[:, None, None], 0, ray + 1)
    start = reach.gather(1, ray.flatten(1)).reshape(ray.shape)
    end = reach.gather(1, after.flatten(1)).reshape(ray.shape)
    length = start + part * (end - start)
    near = length * length / (squares + 1e-4 * pixel * pixel)
    return near, (part - 0.5) * (part - 0.5)


def whitened(images: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Return images uint8 (n, c, h, w) mixed with white; `kept` float32 (n, h, w)."""
    missing = (255 - images.int()).float() * kept[:, None] + 0.5
    return (255 - missing.int()).to(torch.uint8)
