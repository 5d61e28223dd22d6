"""Single-frequency greyscale: one plane sine wave, the same in all channels, is added.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are
the wave's amplitude relative to 196 grey levels, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption. One coordinate of the frequency is uniform up to half a
turn per pixel, the other uniform up to the first in size. Differs: above 224 px the wave is as long
relative to the image (below, the shortest wave stays two pixels, as there); sines from a table (0.04 grey levels
at most from the exact ones); rounded, not truncated, which there darkens by half a level.

Takes four 16-bit words: the frequency's larger and smaller coordinate, which of them is horizontal, phase.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _sines

TITLE = "Single-frequency greyscale"
FIELD = "image"
LEVELS = {1: 0.1, 2: 0.15, 3: 0.2, 4: 0.45, 5: 0.5}
RANGE = _levels.RANGE
FULL = 196  # grey levels


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with a wave over it, uint8 (h, w) or (h, w, 3)."""
    (amplitude,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    height, width = value.shape[:2]
    down, right, phase = wave(rng.words16(4).tolist(), min(height, width))
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    waved = np.empty_like(clean)
    _add(clean, heights(amplitude * FULL), np.array([down, right, phase], dtype=np.uint32), waved)
    return waved.reshape(value.shape)


def wave(drawn: list[int], side: int) -> tuple[int, int, int]:
    """Phase per row, per column and at the first pixel, in 2**32 parts of a turn."""
    larger, smaller, swapped, phase = drawn
    larger = (2 * larger + 1 - (1 << 16)) << 15  # up to half a turn, of either sign
    smaller = larger * (2 * smaller + 1 - (1 << 16)) >> 16
    steps = [step * _levels.REFERENCE_SIDE // max(side, _levels.REFERENCE_SIDE) for step in (larger, smaller)]
    down, right = steps if swapped & 1 else reversed(steps)
    return down % (1 << 32), right % (1 << 32), phase << 16


@lru_cache(maxsize=64)
def heights(amplitude: float) -> NDArray[np.int16]:
    """A wave's whole grey levels at the phases of the sine table."""
    levels = np.rint(_sines.table() * (amplitude / _sines.ONE))
    table: NDArray[np.int16] = levels.astype(np.int16)
    table.flags.writeable = False
    return table


@compiled
def _add(clean: NDArray[np.uint8], table: NDArray[np.int16], steps: NDArray[np.uint32], out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w, c) with `clean` plus the wave."""
    down, right, start = steps
    for row in range(clean.shape[0]):
        phase = np.uint32(start + np.uint32(row) * down)
        for column in range(clean.shape[1]):
            # the upper bits of the phase, rounded, are the table's index
            level = np.int32(table[np.uint32(phase + np.uint32(1 << 18)) >> np.uint32(19)])
            for channel in range(clean.shape[2]):
                grey = clean[row, column, channel] + level
                out[row, column, channel] = min(max(grey, 0), 255)
            phase = np.uint32(phase + right)
