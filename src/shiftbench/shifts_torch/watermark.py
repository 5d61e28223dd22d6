"""Watermark for a batch: the CPU file's integers; nothing differs."""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import watermark as cpu

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor,
    severity: float,
    words: Words,
    *,
    text: str = "SAMPLE",
    fill: int = 255,
) -> torch.Tensor:
    """Return images with a watermark, uint8 (n, c, h, w)."""
    opacity, tall = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=cpu.ZERO)
    cpu.check(text, fill)
    height, width = images.shape[2:]
    step = cpu.sampling(tall * _levels.scale((height, width)))
    points = torch.from_numpy(cpu.pattern(text).copy()).to(images.device)
    covered = _covered(points, words.words16(2).long(), (height, width), step)
    every = step[2] ** 2
    part = ((covered * round(256 * opacity) + every // 2) // every)[:, None]
    return ((images * (256 - part) + fill * part + 128) >> 8).to(torch.uint8)


def _covered(
    points: torch.Tensor, begin: torch.Tensor, shape: tuple[int, int], step: tuple[int, int, int]
) -> torch.Tensor:
    """Return how many samples of each pixel are printed on, int32 (n, h, w)."""
    along, rise, samples = step
    right, down = begin[:, :, None, None].unbind(1)
    covered = torch.zeros((len(begin), *shape), dtype=torch.int32, device=begin.device)
    for below in range(samples):
        y = torch.arange(shape[0], device=begin.device)[:, None] * samples + below
        for beside in range(samples):
            x = torch.arange(shape[1], device=begin.device) * samples + beside
            u = ((x * along - y * rise) >> 16) + right
            v = ((x * rise + y * along) >> 16) + down
            covered += points[v & (points.shape[0] - 1), u & (points.shape[1] - 1)]
    return covered
