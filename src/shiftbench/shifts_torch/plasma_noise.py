"""Plasma noise for a batch: the CPU file's single operations; nothing differs."""

from __future__ import annotations

import math

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels, _sines
from shiftbench.shifts import plasma_noise as cpu
from shiftbench.shifts_torch import _sines as sines

TOLERANCE = (0, 0)
MOST_ROUNDS = 6


def apply(images: torch.Tensor, severity: float, words: Words) -> torch.Tensor:
    """Return images mixed with swirls, uint8 (n, c, h, w)."""
    (amount,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    phases = _phases(words.words16(4), images)
    noise = sines.sine(phases[:, : images.shape[1]])
    kept, strength = (
        torch.tensor(part, dtype=torch.float32, device=images.device)
        for part in (1 - amount * cpu.FULL / 255, amount * cpu.FULL)
    )
    mixed = images.float() * kept + noise * strength
    return (mixed.clamp_(0, 255) + 0.5).to(torch.uint8)


def _phases(drawn: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return the phases of the three colours, float32 (n, 3, h, w)."""
    height, width = images.shape[2:]
    time, rounds, sharpness, size = ((drawn.double() + 0.5) / (1 << 16)).unbind(1)
    around = 2 * math.pi
    pixel = _planes(1 / ((0.075 + 0.125 * size) * min(height, width) * around))
    x = (torch.arange(width, device=images.device).float() * pixel).expand(-1, height, -1)
    y = (torch.arange(height, device=images.device).float()[:, None] * pixel).expand(-1, -1, width)
    seconds = time * 6 * math.pi
    frequency, slowness, bluntness = 1.0, 1.0, torch.ones_like(time)
    for number in range(MOST_ROUNDS):
        phase = seconds / slowness / around
        turned, straight = _planes((phase + 0.25) % 1), _planes(phase % 1)
        moving = (number < 4 + (rounds * 3).long())[:, None, None]
        reach = torch.where(moving, _planes(1 / (bluntness * around)), 0)
        often = torch.tensor(frequency, dtype=torch.float32, device=images.device)
        right = sines.sine(y * often + turned) * reach
        down = sines.sine(x * often + straight) * reach
        x, y = x + (right - down * _PART), y + (down + right * _PART)
        frequency, slowness = frequency * 1.93, slowness * 1.15
        bluntness = bluntness * (2.25 - (0.5 + 0.5 * sharpness))
    colour = _planes(time * 3 % 1)
    table = sines.table(images.device).double() / _sines.ONE
    place = ((drawn[:, 0] * 3 * _sines.TURN + 3 * _sines.TURN // 2) >> 16) % _sines.TURN
    both = (x + y + _planes(table[place.long()] / around)) * 0.5
    return torch.stack((x - colour, both, y + colour), dim=1)


_PART = float(torch.tensor(0.3))  # as float32


def _planes(values: torch.Tensor) -> torch.Tensor:
    return values.float()[:, None, None]
