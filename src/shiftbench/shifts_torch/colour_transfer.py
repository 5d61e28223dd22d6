"""Colour transfer for a batch: the CPU file's tables, statistics and integers; nothing differs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import colour_transfer as cpu
from shiftbench.shifts.greyscale import LUMA

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor,
    severity: float,
    words: Words,
    *,
    reference: Sequence[float] | None = None,
) -> torch.Tensor:
    """Return copies of images in other colours, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    wanted = torch.from_numpy(cpu.checked(reference)).to(images.device)
    if share == 0:
        return images.clone()
    coloured = images.expand(-1, 3, -1, -1)
    axes = _axes(coloured)
    moments = torch.cat((axes, axes * axes), dim=1).sum(dim=(2, 3)).double()
    gains, offsets = _change(moments / (images.shape[2] * images.shape[3]), wanted, share)
    changed = _colours(axes * gains + offsets)
    if images.shape[1] == 3:
        return changed.to(torch.uint8)
    return ((_mixed(changed, (LUMA,)) + (1 << 15)) >> 16).to(torch.uint8)


def _mixed(channels: torch.Tensor, rows: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """Return each row's weighted sum of the channels, int64 (n, rows, h, w)."""
    sums = [sum(weight * channels[:, i] for i, weight in enumerate(row)) for row in rows]
    return torch.stack([torch.as_tensor(total) for total in sums], dim=1)


def _axes(images: torch.Tensor) -> torch.Tensor:
    """Return the three axes (n, 3, h, w), int64: the logarithms of LMS, decorrelated."""
    places = (_mixed(images.long(), cpu.TO_LMS) + 128) >> 8
    return _mixed(_table("logs", images.device)[places], ((1, 1, 1), (1, 1, -2), (1, -1, 0)))


def _colours(axes: torch.Tensor) -> torch.Tensor:
    """Return the colours (n, 3, h, w), int64, of axes in 65,536ths."""
    sixth = 6 << cpu.GAIN_BITS
    logs = _mixed(axes, ((2, 1, 3), (2, 1, -3), (2, -2, 0))) + sixth // 2
    places = torch.div(logs.clamp(min=0), sixth, rounding_mode="floor").clamp(max=cpu.TOP)
    mixed = _mixed(_table("levels", axes.device)[places], cpu.TO_RGB)
    return ((mixed + (1 << 21)) >> 22).clamp(0, 255)


def _change(
    moments: torch.Tensor, wanted: torch.Tensor, share: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (gains, offsets) of each image's axes, int64 (n, 3, 1, 1); the steps are the CPU's."""
    means = moments[:, :3]
    spreads = (moments[:, 3:] - means * means).clamp(min=0).sqrt()
    ratios = (wanted[1] / spreads.clamp(min=1)).clamp(max=cpu.STRETCH)
    gains = 1 + share * (ratios - 1)
    offsets = means + share * (wanted[0] - means) - means * gains
    one = 1 << cpu.GAIN_BITS
    whole = [(part * one).round().long()[..., None, None] for part in (gains, offsets)]
    return whole[0], whole[1]


@lru_cache(maxsize=8)
def _table(which: str, device: torch.device) -> torch.Tensor:
    table = cpu.logs_table() if which == "logs" else cpu.levels_table()
    return torch.from_numpy(table.astype("int64")).to(device)
