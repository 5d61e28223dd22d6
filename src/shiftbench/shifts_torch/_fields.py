"""Random fields of the weather for a batch: the CPU's integers and single float operations."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels
from shiftbench.shifts import _noise_fields as cpu


def plasma(side: int, decay: float, words: Words) -> torch.Tensor:
    """Return height maps float32 (n, side, side) around 0; `side` is a power of two."""
    field = torch.zeros((len(words), 1, 1), device=words.device)
    for reach in cpu.reaches(side, decay):
        drawn = words.words16(3 * field[0].numel()).reshape(-1, 3, *field.shape[1:])
        wobble = (drawn.float() - 32767.5) * float(reach / np.float32(32768))
        field = _refined(field, *wobble.unbind(1))
    return field


def _refined(
    field: torch.Tensor, centre: torch.Tensor, upper: torch.Tensor, left: torch.Tensor
) -> torch.Tensor:
    """Return maps of twice the points per side."""
    below, after = field.roll(-1, 1), field.roll(-1, 2)
    centres = ((field + below) + (after + below.roll(-1, 2))) * 0.25 + centre
    above, before = centres.roll(1, 1), centres.roll(1, 2)
    tops = ((centres + above) + (field + after)) * 0.25 + upper
    sides = ((centres + before) + (field + below)) * 0.25 + left
    rows = torch.stack((torch.stack((field, tops), -1), torch.stack((sides, centres), -1)), 2)
    return rows.reshape(len(field), 2 * field.shape[1], 2 * field.shape[2])


def normal_field(height: int, width: int, words: Words) -> torch.Tensor:
    """Return normal values in 4,096ths, int32 (n, height, width)."""
    drawn = words.words16(height * width)
    return _normals(words.device)[drawn].reshape(-1, height, width)


@lru_cache(maxsize=8)
def _normals(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.normals().astype(np.int32)).to(device)


def blurred(field: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return a field of 4,096ths, int32 (n, h, w), blurred, in 16,384ths; its edges are repeated."""
    weights = cpu.gaussian(sigma).tolist()
    down = (_weighted(field, weights, 1) + (1 << 11)) >> 12
    return (_weighted(down, weights, 2) + (1 << 13)) >> 14


def _weighted(field: torch.Tensor, weights: list[int], axis: int) -> torch.Tensor:
    size, reach = field.shape[axis], len(weights) - 1
    places = torch.arange(-reach, size + reach, device=field.device).clamp_(0, size - 1)
    wide = field.index_select(axis, places)
    total = field * weights[0]
    for i in range(1, reach + 1):
        sides = wide.narrow(axis, reach - i, size) + wide.narrow(axis, reach + i, size)
        total += sides * weights[i]
    return total


def mapped(soft: torch.Tensor, levels: np.ndarray) -> torch.Tensor:
    """Return grey levels int32: field x slope + zero in 2**20ths, truncated; 0 below `begin`."""
    zero, slope, begin = levels.tolist()
    level = soft * slope + zero
    return (torch.where(level >= begin, level, 0).clamp_(min=0) >> 20).clamp_(max=255)


def enlarged(layer: torch.Tensor, fine: int, height: int, width: int) -> torch.Tensor:
    """Return layers int32 (n, h, w) at the size of the images, linear between their points."""
    if fine == 1:
        return layer
    return linear(layer, layer.shape[1] * fine, layer.shape[2] * fine)[:, :height, :width]


def linear(layer: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return layers int32 (..., h, w), 0 to 255, resized as OpenCV resizes bytes (11-bit weights)."""
    left, right, part = _between(layer.shape[-1], width, layer.device)
    rows = layer.index_select(-1, left) * (2048 - part) + layer.index_select(-1, right) * part
    top, bottom, part = _between(layer.shape[-2], height, layer.device)
    upper = (rows.index_select(-2, top) >> 4) * (2048 - part)[:, None] >> 16
    lower = (rows.index_select(-2, bottom) >> 4) * part[:, None] >> 16
    return (upper + lower + 2) >> 2


@lru_cache(maxsize=64)
def _between(few: int, many: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return between which two points each pixel lies, and 2,048ths of the second."""
    places = ((np.arange(many) + 0.5) * (few / many) - 0.5).astype(np.float32)
    low = np.floor(places).astype(np.int64)
    part = np.rint((places - low) * np.float32(2048)).astype(np.int32)
    ends = low.clip(0, few - 1), (low + 1).clip(0, few - 1), part
    return tuple(torch.from_numpy(end).to(device) for end in ends)


def crystals(height: int, width: int, words: Words) -> torch.Tensor:
    """Return ferns of ice, int32 (n, height, width), 0 to 255."""
    count = cpu.stem_count(height, width)
    drawn = words.words16(4 * count).long().reshape(-1, count, 4)
    pixel = _levels.scale((height, width))
    shortest, spread = cpu.lengths(pixel)
    down, right = drawn[..., 0] * height >> 8, drawn[..., 1] * width >> 8
    way = drawn[..., 2] * cpu.DIRECTIONS >> 16
    length = (shortest + drawn[..., 3] * spread) >> 24
    ice = torch.zeros((len(words), height * width + 1), dtype=torch.int64, device=words.device)
    unit = torch.from_numpy(cpu.directions()).to(words.device)
    light = cpu.stem_light(pixel)
    longest = (shortest + 65535 * spread) >> 24
    for step in range(longest + 1):
        at = down + step * unit[way, 0], right + step * unit[way, 1]
        _plot(ice, at, step <= length, 100 * light, (height, width))
        reach = ((length - step) * 2 // 5)[..., None]
        far = torch.arange(1, (longest - step) * 2 // 5 + 1, device=words.device)
        for side in (-16, 16) if step % 3 == 0 else ():
            turn = unit[(way + side + 96) % 96]
            ends = tuple(at[i][..., None] + far * turn[..., i, None] for i in range(2))
            shades = 70 * light * (reach + 1 - far) // (reach + 1).clamp(min=1)
            _plot(ice, ends, far <= reach, shades, (height, width))
    return (ice[:, :-1].clamp_(max=65535) >> 8).int().reshape(-1, height, width)


def _plot(
    ice: torch.Tensor,
    at: tuple[torch.Tensor, ...],
    shown: torch.Tensor,
    shade: torch.Tensor | int,
    size: tuple[int, int],
) -> None:
    """Add `shade` at places (down, right) in 256ths where they are shown and inside."""
    y, x = at[0] >> 8, at[1] >> 8
    inside = shown & (y >= 0) & (y < size[0]) & (x >= 0) & (x < size[1])
    place = torch.where(inside, y * size[1] + x, size[0] * size[1])  # else past the end
    shades = torch.as_tensor(shade, device=ice.device).expand(place.shape)
    ice.scatter_add_(1, place.flatten(1), shades.flatten(1))
