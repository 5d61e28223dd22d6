"""Edge sketch for a batch: the CPU file's integers; nothing differs."""

import torch

from shiftbench.base.rng_torch import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts import edge_sketch as cpu

TOLERANCE = (0, 0)
LUMA = (9798, 19235, 3735)
"""32,768ths of red, green and blue (Rec. 601), in OpenCV's integers."""
RISE, SMOOTH = (-1, -2, 0, 2, 1), (1, 4, 6, 4, 1)


def apply(images: torch.Tensor, severity: float, rng: RandomStream) -> torch.Tensor:
    """Images mixed with drawings of their edges, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    part = round(256 * share)
    light = _grey(images)
    across = _filtered(_filtered(light, RISE, 2), SMOOTH, 1).abs()
    down = _filtered(_filtered(light, SMOOTH, 2), RISE, 1).abs()
    strength = torch.maximum(across, down) + (torch.minimum(across, down) >> 1)
    shades = torch.from_numpy(cpu.SHADES).to(images.device)
    paper = shades[strength.clamp(max=len(shades) - 1)].int()[:, None]
    return ((images.int() * (256 - part) + paper * part + 128) >> 8).to(torch.uint8)


def _filtered(values: torch.Tensor, taps: tuple[int, ...], axis: int) -> torch.Tensor:
    """Values int32 (n, h, w) filtered by five taps along an axis; edges are repeated."""
    size = values.shape[axis]
    places = torch.arange(-2, size + 2, device=values.device).clamp(0, size - 1)
    framed = values.index_select(axis, places)
    total = torch.zeros_like(values)
    for offset, tap in enumerate(taps):
        total += framed.narrow(axis, offset, size) * tap
    return total


def _grey(images: torch.Tensor) -> torch.Tensor:
    """Images uint8 (n, c, h, w) as grey ones, int32 (n, h, w), 0 to 255."""
    if images.shape[1] == 1:
        return images[:, 0].int()
    red, green, blue = images.int().unbind(1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2] + (1 << 14)) >> 15
