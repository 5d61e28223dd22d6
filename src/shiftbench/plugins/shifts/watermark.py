"""Watermark: a word is printed all over the image, half transparent, as agencies do.

Source: watermarks as shortcuts: Li et al. 2023 (ImageNet-W), "A Whac-A-Mole Dilemma: Shortcuts Come in Multiples
Where Mitigating One Amplifies Others", https://arxiv.org/abs/2212.04825, and Bykov et al. 2023, "Mark My
Words: Dangers of Watermarked Images in ImageNet", https://arxiv.org/abs/2303.05498. Theirs are one Chinese
word, or many letters; the word, its letters (5 x 7 points, drawn here), the rows that rise by 30 degrees
and the levels, (opacity, height of a letter in pixels of a 224 px image), are ours. Sizes scale with min(h,
w) / 224; letters are anti-aliased by 2 x 2 samples per pixel, more where a point is smaller than that.

Takes two 16-bit words (where the pattern begins). Integers.
"""

import math
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels

FIELD = "image"
LEVELS = {1: (0.3, 16.0), 2: (0.4, 20.0), 3: (0.5, 24.0), 4: (0.6, 28.0), 5: (0.7, 32.0)}
ZERO = (0.0, 12.0)
RANGE = _levels.RANGE
Text = Annotated[
    str,
    Field(
        pattern="^[A-Z0-9 ]+$", max_length=100, description="printed text: 1 to 100 letters A to Z, digits and blanks"
    ),
]
Fill = Annotated[int, Field(ge=0, le=255, description="grey level of the print")]
ANGLE = 30.0  # degrees
TALL, WIDE, PITCH = 7, 5, 16  # points of a letter, and from one row to the next
LETTERS = {  # the rows of a letter from above, five points each, the left one first
    "A": "0E 11 11 1F 11 11 11",
    "B": "1E 11 11 1E 11 11 1E",
    "C": "0E 11 10 10 10 11 0E",
    "D": "1C 12 11 11 11 12 1C",
    "E": "1F 10 10 1E 10 10 1F",
    "F": "1F 10 10 1E 10 10 10",
    "G": "0E 11 10 17 11 11 0F",
    "H": "11 11 11 1F 11 11 11",
    "I": "0E 04 04 04 04 04 0E",
    "J": "07 02 02 02 02 12 0C",
    "K": "11 12 14 18 14 12 11",
    "L": "10 10 10 10 10 10 1F",
    "M": "11 1B 15 15 11 11 11",
    "N": "11 19 19 15 13 13 11",
    "O": "0E 11 11 11 11 11 0E",
    "P": "1E 11 11 1E 10 10 10",
    "Q": "0E 11 11 11 15 12 0D",
    "R": "1E 11 11 1E 14 12 11",
    "S": "0F 10 10 0E 01 01 1E",
    "T": "1F 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0E",
    "V": "11 11 11 11 0A 0A 04",
    "W": "11 11 11 15 15 1B 11",
    "X": "11 11 0A 04 0A 11 11",
    "Y": "11 11 0A 04 04 04 04",
    "Z": "1F 01 02 04 08 10 1F",
    "0": "0E 11 13 15 19 11 0E",
    "1": "04 0C 04 04 04 04 0E",
    "2": "0E 11 01 06 08 10 1F",
    "3": "0E 11 01 06 01 11 0E",
    "4": "02 06 0A 12 1F 02 02",
    "5": "1F 10 1E 01 01 11 0E",
    "6": "06 08 10 1E 11 11 0E",
    "7": "1F 01 02 04 04 04 04",
    "8": "0E 11 11 0E 11 11 0E",
    "9": "0E 11 11 0F 01 02 0C",
    " ": "00 00 00 00 00 00 00",
}


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, text: Text = "SAMPLE", fill: Fill = 255
) -> NDArray[np.uint8]:
    """An image with a watermark, uint8 (h, w) or (h, w, 3)."""
    opacity, tall = _levels.at(__name__, LEVELS, severity, zero=ZERO)
    check(text, fill)
    step = sampling(tall * _levels.scale(value.shape))
    right, down = rng.words16(2).tolist()
    marked = np.array(value, order="C")
    channels = marked.reshape(*marked.shape[:2], -1)
    _print(channels, pattern(text), step, (right, down), round(256 * opacity), fill)
    return marked


def check(text: str, fill: int) -> None:
    """Refuse options outside what is allowed.

    Raises:
        ParamsError: no text, one too long, one with unknown letters; a fill that is no grey level.
    """
    unknown = sorted(set(text) - LETTERS.keys())
    if unknown:
        raise ParamsError(f"watermark: text has {unknown[0]!r}; allowed are A to Z, 0 to 9 and blanks")
    if not 1 <= len(text) <= 100 or text.isspace():
        raise ParamsError("watermark: text needs 1 to 100 letters or digits")
    if not 0 <= fill <= 255:
        raise ParamsError(f"watermark: fill is {fill}; allowed are 0 to 255")


def sampling(tall: float) -> tuple[int, int, int]:
    """Sampling of a print of letters `tall` pixels high.

    These are the way from one sample to the next along a row of print and across it, in 65,536ths of a
    point, and the samples per pixel and side.
    """
    points = TALL / tall  # per pixel
    samples = max(2, math.ceil(2 * points))
    cosine, sine = _geometry.unit(ANGLE)
    return round(cosine * points / samples), round(sine * points / samples), samples


@lru_cache(maxsize=16)
def pattern(text: str) -> NDArray[np.uint8]:
    """Two rows of print, the lower one moved by half: points that are 1, sides powers of two."""
    word = np.concatenate([_letter(letter) for letter in text], axis=1)
    side = 1 << (word.shape[1] + WIDE).bit_length()
    rows = np.zeros((2 * PITCH, side), dtype=np.uint8)
    rows[:TALL, : word.shape[1]] = word
    rows[PITCH:] = np.roll(rows[:PITCH], side // 2, axis=1)
    rows.flags.writeable = False
    return rows


def _letter(letter: str) -> NDArray[np.uint8]:
    """The points of one letter and the gap behind it, uint8 (7, 6)."""
    rows = np.array([int(row, 16) for row in LETTERS[letter].split()])
    points = (rows[:, None] >> np.arange(WIDE - 1, -1, -1)) & 1
    return np.pad(points, ((0, 0), (0, 1))).astype(np.uint8)


@compiled
def _print(
    pixels: NDArray[np.uint8],
    points: NDArray[np.uint8],
    step: tuple[int, int, int],
    begin: tuple[int, int],
    opacity: int,
    fill: int,
) -> None:
    """Print `points` on `pixels` (h, w, c); what lies beyond them repeats them."""
    height, width, channels = pixels.shape
    last_row, last_column = points.shape[0] - 1, points.shape[1] - 1
    along, rise, samples = step
    every = samples * samples
    for row in range(height):
        for column in range(width):
            covered = 0
            for below in range(samples):
                y = row * samples + below
                for beside in range(samples):
                    x = column * samples + beside
                    u = ((x * along - y * rise) >> 16) + begin[0]
                    v = ((x * rise + y * along) >> 16) + begin[1]
                    covered += points[v & last_row, u & last_column]
            part = (covered * opacity + every // 2) // every
            for channel in range(channels):
                seen = pixels[row, column, channel] * (256 - part) + fill * part
                pixels[row, column, channel] = (seen + 128) >> 8
