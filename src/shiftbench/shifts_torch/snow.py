"""Snow for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels, _noise_fields
from shiftbench.shifts import snow as cpu
from shiftbench.shifts.motion_blur import kernel
from shiftbench.shifts_torch import _fields
from shiftbench.shifts_torch._grey import grey

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return snowy copies of images, uint8 (n, c, h, w)."""
    *flakes, keep = cpu.constants(severity, profile)
    if severity == 0:
        return images.clone()
    layer = fallen(images, tuple(flakes), cpu.SMALLEST[profile], words)
    share, fade = round(keep * cpu.SHARES), round(min(severity, 1) * cpu.SHARES)
    lit = 3 * grey(images) + 255
    twice = 2 * images.int()
    paler = share * twice + (cpu.SHARES - share) * torch.maximum(twice, lit[:, None])
    level = (paler + (2 * fade * layer)[:, None] + cpu.SHARES) >> 16
    return level.clamp_(max=255).to(torch.uint8)


def fallen(
    images: torch.Tensor, flakes: tuple[float, ...], smallest: float, words: Words
) -> torch.Tensor:
    """Return the layer of smeared flakes and itself turned by 180 degrees, added, int32 (n, h, w)."""
    mean, deviation, zoom, threshold, radius, sigma = flakes
    fine, height, width = _noise_fields.lattice(tuple(images.shape[2:]))
    pixel = _levels.scale((height, width))
    turn = words.uniform()
    spacing = max(smallest * pixel, cpu.FINEST)
    field = _fields.normal_field(math.ceil(height / spacing), math.ceil(width / spacing), words)
    wide = _between(field, width, max(zoom * pixel, cpu.FINEST), 2)
    soft = _between(wide, height, max(zoom * pixel, cpu.FINEST), 1) >> 14
    flat = _fields.mapped(soft, cpu.grey_levels(mean, deviation, threshold))
    layer = _smeared(flat, turn, kernel(2 * radius * pixel, sigma * pixel, _parts(pixel)))
    layer = _fields.enlarged(layer, fine, *images.shape[2:])
    return (layer + layer.flip(1, 2)).clamp_(max=255)


def _parts(pixel: float) -> int:
    return max(1, math.ceil(1 / pixel))


def _between(field: torch.Tensor, side: int, spacing: float, axis: int) -> torch.Tensor:
    """Return the middle points of the field, in 256 times its unit, at each pixel along an axis."""
    (first, part), points = cpu.places(side, spacing)
    kept = field.narrow(axis, (field.shape[axis] - points) // 2, points)
    low = torch.from_numpy(first).to(field.device)
    way = torch.from_numpy(part).to(field.device)
    way = way[:, None] if axis == 1 else way
    high = (low + 1).clamp(max=points - 1)
    return kept.index_select(axis, low) * (256 - way) + kept.index_select(axis, high) * way


def _smeared(flat: torch.Tensor, turn: torch.Tensor, weights: tuple[int, ...]) -> torch.Tensor:
    """Return layers smeared downwards along lines of their own, turned by -45 to 45 degrees."""
    reach = len(weights) - 1
    count, height, width = flat.shape
    rows = torch.arange(-reach, height, device=flat.device).clamp_(min=0)
    columns = torch.arange(-reach, width + reach, device=flat.device).clamp_(0, width - 1)
    padded = flat[:, rows][:, :, columns].reshape(count, -1)
    base = torch.arange(height, device=flat.device)[:, None] * len(columns)
    base = (base + torch.arange(width, device=flat.device)).reshape(1, -1)
    angle = (-45 + 90 * turn.double()) * (math.pi / 180)
    far = torch.arange(reach + 1, device=flat.device)
    right = (far * angle.sin()[:, None] - 0.5).ceil().long()
    up = (far * angle.cos()[:, None] - 0.5).ceil().long()
    starts = (reach - up) * len(columns) + reach + right
    total = torch.full((count, height * width), 128, dtype=torch.int32, device=flat.device)
    for i, weight in enumerate(weights):
        total += padded.gather(1, base + starts[:, i : i + 1]) * weight
    return (total >> 8).reshape(flat.shape)
