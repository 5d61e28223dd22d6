"""Caustic refraction for a batch: the CPU file's single operations and integers; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import caustic_refraction as cpu
from shiftbench.shifts_torch._geometry import warp
from shiftbench.shifts_torch._roots import root
from shiftbench.shifts_torch._sines import sine

TOLERANCE = (0, 0)
RADIAN = float(torch.tensor(0.15915494, dtype=torch.float32))  # in turns


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images under water, uint8 (n, c, h, w)."""
    thickness, light = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=(0.0, 0.0))
    height, width = images.shape[2:]
    pixel = min(height, width) / _levels.REFERENCE_SIDE
    net = torch.nn.functional.pad(_softened(_caustics((height, width), words), pixel), (1, 1, 1, 1))
    slope, deep, strength = (
        torch.tensor(part, dtype=torch.float32, device=images.device)
        for part in (pixel / 65535, thickness * pixel * 256, light * 255)
    )
    down = (net[:, 2:, 1:-1] - net[:, :-2, 1:-1]).float() * slope
    across = (net[:, 1:-1, 2:] - net[:, 1:-1, :-2]).float() * slope
    bend = _bend(down, across, deep)
    rows = torch.arange(height, device=images.device)[:, None] * 256
    columns = torch.arange(width, device=images.device) * 256
    map_y = rows + torch.floor(bend * down + 0.5).long()
    map_x = columns + torch.floor(bend * across + 0.5).long()
    bent = warp(images, map_x, map_y, "constant", 0)
    added = torch.floor((down - across) * strength + 0.5).int()
    return (bent + added[:, None]).clamp_(0, 255).to(torch.uint8)


def _bend(down: torch.Tensor, across: torch.Tensor, thickness: torch.Tensor) -> torch.Tensor:
    """Return by how much a slope moves a pixel, in 256ths per unit of slope."""
    steep = down * down + across * across
    upright = 1 / root(1 + steep)
    inner = 0.25 * upright
    bend = root(1 - steep * inner * inner) - inner
    least = torch.tensor(1 - 1e-3, dtype=torch.float32, device=down.device)
    return torch.where(upright < least, thickness * bend * upright, 0)


def _caustics(shape: tuple[int, int], words: Words) -> torch.Tensor:
    """Return nets of caustics, int64 (n, h, w) from 0 to 65,535."""
    time, size = ((words.words16(2).double() + 0.5) / (1 << 16)).unbind(1)
    pixel = (1 / ((0.75 + 0.5 * size) * min(shape))).float()
    (down, tall), (right, wide) = (_angles(count, pixel) for count in shape)
    down, tall, right, wide = down[:, :, None], tall[:, :, None], right[:, None], wide[:, None]
    x, y, total = down, right, torch.ones((), device=pixel.device)
    for factor in cpu.ROUNDS:
        turn = ((0.5 + 1.5 * time) * factor / (2 * math.pi) % 1).float()[:, None, None]
        x, y = (
            down + RADIAN * (sine(turn - x + 0.25) + sine(turn + y)),
            right + RADIAN * (sine(turn - y) + sine(turn + x + 0.25)),
        )
        a, b = sine(x + turn), sine(y + turn + 0.25)
        across, along = tall * b, wide * a
        total = total + (a * b).abs() / root(across * across + along * along + 1e-30)
    return _brightened(total)


def _angles(count: int, pixel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the CPU's angles and sizes, float32 (n, count) each."""
    places = torch.arange(count, device=pixel.device).float() * pixel[:, None]
    places = places - torch.floor(places)
    return places + _single(-250 / (2 * math.pi) % 1), (
        250 - places * _single(2 * math.pi)
    ) * _single(0.005)


def _brightened(total: torch.Tensor) -> torch.Tensor:
    c = total * _single(0.2)
    *rest, curve = map(float, cpu.POWER)
    value = torch.full_like(c, curve)
    for coefficient in reversed(rest):
        value = coefficient + c * value
    bright = _single(1.17) - value
    for _ in range(3):
        bright = bright * bright
    return (bright.clamp(max=1) * 65535 + 0.5).long()


def _softened(net: torch.Tensor, pixel: float) -> torch.Tensor:
    """Return nets after the CPU's Gaussian, int64 (n, h, w)."""
    weights = cpu.gaussian(pixel).tolist()
    reach = len(weights) // 2
    for axis in (1, 2):
        size = net.shape[axis]
        places = torch.arange(-reach, size + reach, device=net.device) % (2 * size)
        framed = net.index_select(axis, torch.minimum(places, 2 * size - 1 - places))
        total = torch.full_like(net, 1 << 14)
        for tap, weight in enumerate(weights):
            total += framed.narrow(axis, tap, size) * weight
        net = total >> 15
    return net


def _single(value: float) -> float:
    """Return the float32 nearest to `value`."""
    return float(torch.tensor(value, dtype=torch.float32))
