"""Checkerboard cutout: some fields of one colour of a turned checkerboard become grey.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are the
share of the board's dark fields that is hidden (half of it is the share of the image), from `imagenet_c_bar.csv` and
`corrupt.py` of https://github.com/facebookresearch/augmentation-corruption. Fields are a tenth to a quarter of the
image wide, the board is turned by any angle. Differs: a field is hidden or not by its whole place on
the board (there the two fields on both sides of an axis through the corner share their fate), and the board
repeats after 32 fields, which only an image three times as long as wide shows; places are whole numbers of
65,536ths of a field; a stronger severity keeps what a weaker one hides.

Takes two 16-bit words (angle, size), then 1,024 (one per field).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _sines

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.6}
RANGE = _levels.RANGE
SMALLEST, LARGEST = 0.1, 0.25  # width of a field relative to the image's
BOARD = 32  # fields per side
PART = 16  # bits of a place within a field
GREY = 128


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with grey fields, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    height, width = value.shape[:2]
    turn, size = rng.words16(2).tolist()
    down, right = steps(turn, size, min(height, width))
    board = hidden(rng.words16(BOARD * BOARD), share)
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    cut = np.empty_like(clean)
    _cut(clean, board.view(np.uint8), down, right, cut)
    return cut.reshape(value.shape)


def steps(turn: int, size: int, side: int) -> tuple[int, int]:
    """Steps of one pixel down and one right along the board's rows, in 65,536ths of a field.

    Along its columns a pixel right is as far as one down is along the rows, and one down minus as far as one right.
    """
    field = max((SMALLEST + (LARGEST - SMALLEST) * (size + 0.5) / (1 << 16)) * side, 1)
    phase = turn * _sines.TURN >> 16
    pace = (1 << PART) / field
    return round(_sines.cosine(phase) * pace), round(_sines.sine(phase) * pace)


def hidden(drawn: NDArray[np.uint16], share: float) -> NDArray[np.bool_]:
    """Whether each field of the board is grey, bool (32 * 32,): `share` of the dark ones."""
    row, column = np.indices((BOARD, BOARD))
    dark = (row + column) % 2 == 0
    return np.asarray(dark.ravel() & (drawn < round(share * (1 << 16))))


@compiled
def _cut(clean: NDArray[np.uint8], board: NDArray[np.uint8], down: int, right: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w, c) with `clean` under the board."""
    for row in range(clean.shape[0]):
        along, across = row * down, row * -right
        for column in range(clean.shape[1]):
            field = ((along >> 16) & 31) * 32 + ((across >> 16) & 31)
            covered = board[field] != 0
            for channel in range(clean.shape[2]):
                out[row, column, channel] = 128 if covered else clean[row, column, channel]
            along, across = along + right, across + down
