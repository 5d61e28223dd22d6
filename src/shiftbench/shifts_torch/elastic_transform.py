"""Elastic transform for a batch: the CPU file's operations in the same order; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _blur as plain
from shiftbench.shifts import _levels
from shiftbench.shifts import elastic_transform as cpu
from shiftbench.shifts._warp import ONE
from shiftbench.shifts_torch import _blur, _geometry

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return elastically stretched copies of images, uint8 (n, c, h, w)."""
    strength, sigma, jitter = cpu.constants(severity, profile)
    shape = (images.shape[2], images.shape[3])
    pixel = _levels.scale(shape)
    turns = words.uniform(6)
    across, along = (_field(shape, strength * pixel, sigma, pixel, words) for _ in range(2))
    columns = torch.arange(shape[1], device=images.device)
    rows = torch.arange(shape[0], device=images.device)[:, None]
    if jitter:
        maps = _affine(shape, jitter * pixel, turns)
        read_x = _mirrored(_places(maps[0], shape), shape[1])
        read_y = _mirrored(_places(maps[1], shape), shape[0])
        images = _geometry.warp(images, read_x, read_y, "reflect", 0)
    return _geometry.warp(images, across + columns * ONE, along + rows * ONE, "reflect", 0)


def _affine(
    shape: tuple[int, int], jitter: float, turns: torch.Tensor
) -> list[tuple[torch.Tensor, ...]]:
    """Return the affine maps from places in the results, float64 (n,) numbers, as `cpu.affine`."""
    corners = cpu.corners(shape)
    moves = jitter * (2 * turns.double() - 1)
    (ax, ay), (bx, by), (cx, cy) = (
        (x + moves[:, 2 * i], y + moves[:, 2 * i + 1]) for i, (x, y) in enumerate(corners)
    )
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    area = torch.where(area.abs() < 1, torch.ones_like(area).copysign(area), area)
    maps: list[tuple[torch.Tensor, ...]] = []
    for first, second, third in zip(*corners, strict=True):
        right = ((second - first) * (cy - ay) - (third - first) * (by - ay)) / area
        down = ((third - first) * (bx - ax) - (second - first) * (cx - ax)) / area
        maps.append((right, down, first - right * ax - down * ay))
    return maps


def _places(turn: tuple[torch.Tensor, ...], shape: tuple[int, int]) -> torch.Tensor:
    """Return the columns (or rows) that a row of each affine map reads, int64 (n, h, w)."""
    right, down, start = (
        (number * (1 << cpu.BITS)).round().long()[:, None, None] for number in turn
    )
    cut = cpu.BITS - (ONE.bit_length() - 1)
    columns = torch.arange(shape[1], device=right.device)
    rows = torch.arange(shape[0], device=right.device)[:, None]
    return (columns * right + rows * down + start + (1 << cut >> 1)) >> cut


def _mirrored(places: torch.Tensor, size: int) -> torch.Tensor:
    """Return places moved into the image, mirrored in the middles of its edge pixels."""
    turn = 2 * (size - 1) * ONE or 1
    around = places.abs() % turn
    return torch.minimum(around, turn - around)


def _field(
    shape: tuple[int, int], strength: float, sigma: float, pixel: float, words: Words
) -> torch.Tensor:
    """Return smooth random fields, int64 (n, h, w) in 256ths of a pixel."""
    factor = plain.reduction(sigma * pixel, plain.WIDEST)
    size = -(-shape[0] // factor), -(-shape[1] // factor)
    shifts = torch.arange(0, 64, 8, device=words.device)
    drawn = (words.raw(-(-size[0] * size[1] // 8))[..., None] >> shifts) & 0xFF
    noise = drawn.flatten(1)[:, : size[0] * size[1]].reshape(-1, 1, *size)
    weights, gain = cpu.smoothing(sigma, pixel, factor)
    whole = tuple(int(weight) for weight in (weights * plain.ONE).tolist())
    smooth = _blur.filtered(noise, whole, "reflect") - (255 << _blur.BITS >> 1)
    extra = cpu.EXTRA if factor > 1 else 0
    scale = torch.tensor(
        strength * gain * ONE / 128 * (1 << extra), dtype=torch.float32, device=words.device
    )
    moves = (smooth.float() / (1 << _blur.BITS) * scale).round().long()
    if factor == 1:
        return moves[:, 0]
    bits = extra + 2 * factor.bit_length()
    cells = _blur.padded(moves, (1, 2, 1, 2), "replicate")
    fine = _blur.spread(cells, factor, (len(moves), 1, *shape))
    return ((fine + (1 << bits >> 1)) >> bits)[:, 0]
