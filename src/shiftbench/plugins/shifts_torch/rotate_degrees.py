"""Rotation by degrees for a batch: the CPU file's integers; nothing differs."""

import torch

from shiftbench.base.rng_torch import RandomStream
from shiftbench.plugins.shifts import _geometry as cpu
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts_torch import _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, rng: RandomStream, *, border: str = "constant", fill: int = 0
) -> torch.Tensor:
    """Turned copies of images, uint8 (n, c, h, w)."""
    _levels.check(__name__, severity, cpu.DEGREES)
    cpu.checked(border, fill)
    matrix = torch.tensor([cpu.rotation(severity, 1)], device=images.device)
    layers = images.flatten(0, 1)[None]  # all are read at the same places: layers of one image
    return _geometry.affine(layers, matrix, border, fill).reshape(images.shape)
