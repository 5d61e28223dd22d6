"""Cocentric sine waves: wavy rings around a point, the same in all channels, are added.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273 (the name is theirs);
levels are the height of a ring relative to 128 grey levels, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption. A ring rises from minus to plus half its height and falls
at once; its radius swings with the direction, up to ten times per turn and up to a tenth of the image;
rings are up to a tenth of the image wide. Differs: sines from a table, directions from a polynomial; rounded,
not truncated.

Takes five 16-bit words: column and row of the point, swings, their height, width of a ring.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _sines
from shiftbench.plugins.shifts._polar import polar

TITLE = "Concentric sine waves"
FIELD = "image"
LEVELS = {1: 0.3, 2: 0.5, 3: 0.8, 4: 0.9, 5: 1.0}
RANGE = _levels.RANGE
FULL = 128  # grey levels


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with rings over it, uint8 (h, w) or (h, w, 3)."""
    (height,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    rows, columns = value.shape[:2]
    across, down, swings, swing, ring = rng.uniform(5).tolist()
    squares, turns = polar((rows, columns), down * rows, across * columns)
    reach = min(rows, columns) / 10
    constants = np.array([swings * 10, swing / ring, 1 / (ring * reach), height * FULL])
    clean = np.ascontiguousarray(value).reshape(rows, columns, -1)
    ringed = np.empty_like(clean)
    _add(clean, squares, turns, _sines.table(), constants, ringed)
    return ringed.reshape(value.shape)


@compiled
def _add(
    clean: NDArray[np.uint8],
    squares: NDArray[np.float32],
    turns: NDArray[np.float32],
    sines: NDArray[np.int16],
    constants: NDArray[np.float64],
    out: NDArray[np.uint8],
) -> None:
    """Fill `out` (h, w, c); lengths are in rings."""
    swings, swing, pixel, height = constants
    swing /= 16384  # the table's largest value
    for row in range(clean.shape[0]):
        for column in range(clean.shape[1]):
            phase = np.int64(np.floor(turns[row, column] * swings * 8192 + 0.5)) & 8191
            rings = np.sqrt(np.float64(squares[row, column])) * pixel + sines[phase] * swing
            level = np.int32(np.floor((rings - np.floor(rings) - 0.5) * height + 0.5))
            for channel in range(clean.shape[2]):
                grey = clean[row, column, channel] + level
                out[row, column, channel] = min(max(grey, 0), 255)
