"""Brownish noise for a batch: torch's Fourier transform, so that a value in a thousand rounds the other way."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import brownish_noise as cpu
from shiftbench.shifts_torch import _spectra

TOLERANCE = (1, 0.01)


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images with blotches, uint8 (n, c, h, w)."""
    (deviation,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    count, channels, height, width = images.shape
    side = cpu.points(max(height, width))
    half = words.words16(channels * side * side // 2).reshape(count, channels, side, side // 2)
    phases = torch.cat((half, half.flip(2, 3)), dim=3)
    amplitudes = torch.from_numpy(cpu.amplitudes(side).copy()).to(images.device)
    fields = _spectra.fields(amplitudes, phases)
    fields = fields * _gains(fields, deviation * cpu.FULL)
    noise = _laid(fields, height, width)
    return (images + torch.floor(noise + 0.5).int()).clamp_(0, 255).to(torch.uint8)


def _gains(fields: torch.Tensor, deviation: float) -> torch.Tensor:
    """Return the factors that give each field this standard deviation, float32 (n, c, 1, 1)."""
    whole = torch.round(fields * (1 << cpu.BITS)).long().flatten(2)
    count, total, squares = whole.shape[2], whole.sum(2).double(), (whole * whole).sum(2).double()
    spread = torch.sqrt(count * squares - total * total)
    gains = torch.where(spread > 0, deviation * (1 << cpu.BITS) * count / spread, 0)
    return gains.float()[..., None, None]


def _laid(fields: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return fields (n, c, side, side) under the pixels of an image, (n, c, h, w)."""
    side, longer = fields.shape[3], max(height, width)
    for axis, size in ((2, height), (3, width)):
        places = torch.from_numpy(cpu.places(size, longer, side)).to(fields.device)
        first = (places >> 8).long()
        part = (places & 255).float() * (1 / 256)
        here = fields.index_select(axis, first)
        after = fields.index_select(axis, (first + 1) % side)
        fields = here + (part[:, None] if axis == 2 else part) * (after - here)
    return fields
