"""Frost for a batch: areas in float64, where OpenCV's are in float32, else the CPU file's integers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _noise_fields
from shiftbench.shifts import frost as cpu
from shiftbench.shifts_torch import _fields

TOLERANCE = (1, 0.02)


def apply(
    images: torch.Tensor,
    severity: float,
    words: Words,
    *,
    texture: str = "photo",
    profile: str = "published",
    sources: Mapping[str, Path] | None = None,
) -> torch.Tensor:
    """Return frosted copies of images, uint8 (n, c, h, w)."""
    keep, add = (int(share) for share in cpu.shares(severity, profile))
    files = cpu.pictures(texture, sources)
    ice = pieces(files, images, words) if files else procedural(images, words)
    both = images.int() * keep + ice * add + (cpu.ONE >> 1)
    return (both >> 15).clamp_(max=255).to(torch.uint8)


def pieces(files: tuple[Path, ...], images: torch.Tensor, words: Words) -> torch.Tensor:
    """Return a random piece of a random picture for each image, int32 (n, c, h, w)."""
    shape = (*images.shape[2:], 3)[: 2 if images.shape[1] == 1 else 3]
    stack, sizes = _stack(files, len(shape), images.device)
    which, down, right = words.words16(3).long().unbind(1)
    which = which * len(files) >> 16
    windows = [cpu.window(size, shape) for size in sizes]
    result = torch.zeros_like(images, dtype=torch.int32)
    of = torch.tensor(windows, device=images.device)[which]
    whole = torch.tensor(sizes, device=images.device)[which]
    for window in sorted(set(windows)):  # one, unless a picture is too small for the image
        spare = (whole - torch.tensor(window, device=images.device)).clamp(min=1)
        rows = _span(down * spare[:, 0] >> 16, window[0], stack.shape[1])
        columns = _span(right * spare[:, 1] >> 16, window[1], stack.shape[2])
        cut = stack[which[:, None, None], rows[:, :, None], columns[:, None, :]]
        piece = _resized(cut.permute(0, 3, 1, 2), *images.shape[2:])
        mine = (of == torch.tensor(window, device=images.device)).all(1)
        result = torch.where(mine[:, None, None, None], piece, result)
    return result


def _span(first: torch.Tensor, count: int, size: int) -> torch.Tensor:
    places = first[:, None] + torch.arange(count, device=first.device)
    return places.clamp_(max=size - 1)


@lru_cache(maxsize=8)
def _stack(
    files: tuple[Path, ...], axes: int, device: torch.device
) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """Return the pictures uint8 (pictures, h, w, c), filled up with black, and their sizes."""
    arrays = [np.atleast_3d(cpu.read(file, axes)) for file in files]
    sizes = [array.shape[:2] for array in arrays]
    shape = (len(arrays), *np.max(sizes, axis=0), arrays[0].shape[2])
    stack = np.zeros(shape, dtype=np.uint8)
    for place, array in zip(stack, arrays, strict=True):
        place[: len(array), : array.shape[1]] = array
    return torch.from_numpy(stack).to(device), sizes


def _resized(cut: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return pieces int32 (n, c, height, width): means over areas, or linear where they grow."""
    if cut.shape[2:] == (height, width):
        return cut.int()
    if cut.shape[2] <= height:
        return _fields.linear(cut.int(), height, width)
    down = _areas(cut.shape[2], height, cut.device)
    across = _areas(cut.shape[3], width, cut.device)
    return (down @ cut.double() @ across.T).round().int()


@lru_cache(maxsize=64)
def _areas(side: int, few: int, device: torch.device) -> torch.Tensor:
    """Return the share of each pixel of a side in each of fewer ones, float64 (few, side)."""
    edges, pixel = np.arange(few + 1) * (side / few), np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return torch.from_numpy(overlap.clip(0) * (few / side)).to(device)


def procedural(images: torch.Tensor, words: Words) -> torch.Tensor:
    """Return ice of our own, int32 (n, c, h, w)."""
    fine, height, width = _noise_fields.lattice(tuple(images.shape[2:]))
    field = _fields.plasma(cpu.HAZE_SIDE, cpu.HAZE_DECAY, words)
    lowest, highest = field.amin((1, 2), keepdim=True), field.amax((1, 2), keepdim=True)
    haze = ((field - lowest) * (255 / (highest - lowest))).int()
    light = _fields.linear(haze, height, width) * 60 + _fields.crystals(height, width, words) * 95
    ice = ((light >> 8) + 108).clamp_(max=255)
    ice = _fields.enlarged(ice, fine, *images.shape[2:])
    if images.shape[1] == 1:
        return ice[:, None]
    return _tint(images.device)[ice].permute(0, 3, 1, 2)


@lru_cache(maxsize=8)
def _tint(device: torch.device) -> torch.Tensor:
    return torch.from_numpy(cpu.tint()[:, 0].astype(np.int32)).to(device)
