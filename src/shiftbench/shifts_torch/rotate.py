"""Rotate for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _geometry as options
from shiftbench.shifts import _levels
from shiftbench.shifts import rotate as cpu
from shiftbench.shifts_torch import _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, border: str = "reflect", fill: int = 0
) -> torch.Tensor:
    """Return turned copies of images, uint8 (n, c, h, w)."""
    (degrees,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    options.checked(cpu.__name__, border, fill)
    signs = (words.uniform() >= 0.5).long()
    matrices = _geometry.chosen([cpu.matrix(degrees, -1), cpu.matrix(degrees, 1)], signs)
    return _geometry.affine(images, matrices, border, fill)
