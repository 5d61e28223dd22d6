"""Shot noise for a batch: the CPU file's tables, searched instead of guided; nothing differs."""

from __future__ import annotations

from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import shot_noise as cpu
from shiftbench.shifts_torch._noise import words_for

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return noisy copies of images, uint8 (n, c, h, w)."""
    (photons,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=cpu.LEVELS[1])
    ends, greys = _tables(photons, min(severity, 1.0), images.device)
    wanted = (images.to(torch.int32) << 16) + words_for(images, words)
    return greys[torch.searchsorted(ends, wanted.contiguous(), right=True, out_int32=True)]


@lru_cache(maxsize=32)
def _tables(
    photons: float, share: float, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (ends, greys); the ends of grey level g lie in g x 65,536 to (g + 1) x 65,536."""
    _, ends, greys = (torch.from_numpy(table) for table in cpu.tables(photons, share))
    last = (ends == 1 << 16).int()
    return (ends + ((last.cumsum(0) - last) << 16).int()).to(device), greys.to(device)
