"""What the blurring twins share: the CPU's Gaussian, reduction and enlargement in whole numbers."""

from __future__ import annotations

import math

import torch

from shiftbench.shifts import _blur as cpu

BITS = 16  # fractional bits after two passes of 256ths


def gaussian(
    images: torch.Tensor, sigma: float, pixel: float, rounding: float = 0.5
) -> torch.Tensor:
    """Return a Gaussian blur of images uint8 (n, c, h, w), as the CPU's."""
    wide, factor = sigma * pixel, cpu.reduction(sigma * pixel, cpu.WIDEST)
    if factor == 1:
        weights = cpu.gaussian_weights(wide, cpu.parts(pixel))
        return ((filtered(images, weights) + int(rounding * (1 << BITS))) >> BITS).to(torch.uint8)
    inner = math.sqrt((wide / factor) ** 2 - 0.25)
    sums = filtered(reduced(images, factor), cpu.gaussian_weights(inner))
    fine = (sums * cpu.FINE + (1 << BITS >> 1)) >> BITS
    return enlarged(fine, factor, images.shape, rounding)


def filtered(
    images: torch.Tensor, weights: tuple[int, ...], border: str = "replicate"
) -> torch.Tensor:
    """Return the separable filter of images (n, c, h, w) in 65,536ths, int32."""
    reach = len(weights) // 2
    rows = _pass(padded(images, (reach, reach, 0, 0), border).to(torch.int32), weights, 2)
    return _pass(padded(rows, (0, 0, reach, reach), border), weights, 3)


def _pass(values: torch.Tensor, weights: tuple[int, ...], axis: int) -> torch.Tensor:
    """Return the weighted sum along an axis, which loses `len(weights)` - 1 places."""
    reach = len(weights) // 2
    size = values.shape[axis] - 2 * reach
    total = values.narrow(axis, reach, size) * weights[reach]
    for tap in range(reach):
        both = values.narrow(axis, tap, size) + values.narrow(axis, 2 * reach - tap, size)
        total.add_(both, alpha=weights[tap])
    return total


def padded(values: torch.Tensor, around: tuple[int, int, int, int], border: str) -> torch.Tensor:
    """Return values (n, c, h, w) with pixels (above, below, left, right) around them.

    `border` is `replicate`, `reflect` (the edge twice) or `mirror` (the edge once).
    """
    above, below, left, right = around
    if above or below:
        values = values.index_select(2, _inside(-above, values.shape[2] + below, values, 2, border))
    if left or right:
        values = values.index_select(3, _inside(-left, values.shape[3] + right, values, 3, border))
    return values


def _inside(low: int, high: int, values: torch.Tensor, axis: int, border: str) -> torch.Tensor:
    """Return which pixels stand at the places `low` to `high` - 1."""
    places, size = torch.arange(low, high, device=values.device), values.shape[axis]
    if border == "replicate":
        return places.clamp(0, size - 1)
    beyond = int(border == "reflect")
    turn = 2 * (size - 1 + beyond) or 1
    places = places % turn
    return torch.minimum(places, turn - beyond - places).clamp(max=size - 1)


def reduced(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Return rounded means of `factor` x `factor` pixels, a cell of edge or more around, int32."""
    height, width = images.shape[2:]
    below, right = factor + -height % factor, factor + -width % factor
    wide = padded(images, (factor, below, factor, right), "replicate").to(torch.int32)
    cells = wide.unflatten(2, (-1, factor)).unflatten(4, (-1, factor))
    area = factor * factor
    means: torch.Tensor = (cells.sum((3, 5), dtype=torch.int32) + area // 2) // area
    return means


def enlarged(
    fine: torch.Tensor, factor: int, shape: tuple[int, ...], rounding: float = 0.5
) -> torch.Tensor:
    """Return cells in 128ths of a grey level as images of `shape` (n, c, h, w), linear between them."""
    bits = 7 + 2 * factor.bit_length()
    total = spread(fine.long(), factor, shape)
    return ((total + int(rounding * (1 << bits))) >> bits).to(torch.uint8)


def spread(cells: torch.Tensor, factor: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Return cells times (2 x factor)**2, linear between them; the second cell is the image's first."""
    for axis in (2, 3):
        double = 2 * factor
        places = 2 * torch.arange(shape[axis], device=cells.device) + factor + 1
        cell, part = places // double, places % double
        part = part if axis == 3 else part[:, None]
        near, far = cells.index_select(axis, cell), cells.index_select(axis, cell + 1)
        cells = near * (double - part) + far * part
    return cells
