"""Occlusion for a batch: equal to the CPU's, bit for bit."""

import torch

from shiftbench.base.rng_torch import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts import occlusion as cpu

TOLERANCE = (0.0, 0.0)


def apply(
    images: torch.Tensor, severity: float, rng: RandomStream, *, kind: str = "patches", grid: int = 14, fill: int = 128
) -> torch.Tensor:
    """Images with a share of each hidden, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    cpu.check(kind, grid, fill)
    height, width = images.shape[-2:]
    cells = (min(grid, height), min(grid, width))
    hidden = (_bars if kind == "bars" else _patches)(cells, share, rng)
    rows, columns = (
        torch.arange(side, device=images.device) * count // side
        for side, count in zip((height, width), cells, strict=True)
    )
    return images.masked_fill(hidden[:, rows][:, :, columns][:, None], fill)


def _patches(cells: tuple[int, int], share: float, rng: RandomStream) -> torch.Tensor:
    return _chosen(rng.raw(cells[0] * cells[1]), share).reshape(-1, *cells)


def _bars(cells: tuple[int, int], share: float, rng: RandomStream) -> torch.Tensor:
    """Bool (n, *cells): columns of about half of the samples are hidden, rows of the others."""
    upright = rng.uniform() < 0.5
    drawn = rng.raw(max(cells))
    rows, columns = (_chosen(drawn[:, :count], share) for count in cells)
    return torch.where(upright[:, None, None], columns[:, None], rows[:, :, None])


def _chosen(drawn: torch.Tensor, share: float) -> torch.Tensor:
    """Bool (n, count): a share of each row, those of the smallest words."""
    unsigned = drawn ^ (-1 << 63)  # order as if they were unsigned
    places = torch.argsort(unsigned, dim=1, stable=True)[:, : round(share * drawn.shape[1])]
    return torch.zeros_like(drawn, dtype=torch.bool).scatter_(1, places, value=True)
