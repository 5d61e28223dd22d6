"""Shear for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _geometry as options
from shiftbench.shifts import _levels
from shiftbench.shifts import shear as cpu
from shiftbench.shifts_torch import _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, border: str = "reflect", fill: int = 0
) -> torch.Tensor:
    """Return leaning copies of images, uint8 (n, c, h, w)."""
    (slope,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    options.checked(cpu.__name__, border, fill)
    rows, back = (words.uniform(2) < 0.5).long().unbind(1)
    leaning = [cpu.matrix(s, rows=along) for along in (False, True) for s in (slope, -slope)]
    return _geometry.affine(images, _geometry.chosen(leaning, 2 * rows + back), border, fill)
