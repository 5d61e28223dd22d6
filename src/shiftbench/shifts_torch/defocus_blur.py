"""Defocus blur for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _blur as plain
from shiftbench.shifts import _levels
from shiftbench.shifts import defocus_blur as cpu
from shiftbench.shifts_torch import _blur

TOLERANCE = (0, 0)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return blurred copies of images, uint8 (n, c, h, w)."""
    radius, softness, gain = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=(0.0, 0.0, 1.0))
    if radius == 0:
        return images.clone()
    wide = radius * _levels.scale(tuple(images.shape[2:]))
    factor = plain.reduction(wide, cpu.WIDEST)
    if factor == 1:
        means = _means(_mirrored(images, math.ceil(wide) + 1), wide, gain)
        return _softened(means, cpu.side(softness))
    inner = math.sqrt((wide / factor) ** 2 - 1)
    small = _blur.reduced(_mirrored(images, math.ceil(inner) * factor), factor)
    return _blur.enlarged(_means(small, inner, gain), factor, images.shape)


def _mirrored(images: torch.Tensor, reach: int) -> torch.Tensor:
    return _blur.padded(images, (reach, reach, reach, reach), "mirror")


def _means(images: torch.Tensor, radius: float, gain: float) -> torch.Tensor:
    """Return means over disks in 128ths, int64, of the pixels that a whole square surrounds."""
    spans, weights = cpu.disks(radius, gain)
    outer = math.ceil(radius)
    height, width = images.shape[2] - 2 * outer, images.shape[3] - 2 * outer
    sums = torch.nn.functional.pad(images.cumsum(3, dtype=torch.int32), (1, 0))
    mean = torch.full((), 1 << 15, dtype=torch.int64, device=images.device)
    for disk, weight in enumerate(weights.tolist()):
        total = torch.zeros((), dtype=torch.int32, device=images.device)
        for _, line, start, end in spans[spans[:, 0] == disk].tolist():
            rows = sums.narrow(2, line, height)
            total = total + rows.narrow(3, end, width) - rows.narrow(3, start, width)
        mean = mean + total.long() * weight
    return mean.clamp(max=255 << 23) >> 16


def _softened(means: torch.Tensor, side: int) -> torch.Tensor:
    """Return means in grey levels after the Gaussian of 3 x 3 pixels that `side` of 256 fixes."""
    inner = plain.ONE - 2 * side
    rows = (means[:, :, :-2] + means[:, :, 2:]) * side + means[:, :, 1:-1] * inner
    soft = (rows[..., :-2] + rows[..., 2:]) * side + rows[..., 1:-1] * inner
    return ((soft + (1 << 22)) >> 23).to(torch.uint8)
