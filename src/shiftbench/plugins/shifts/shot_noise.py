"""Shot noise: each channel of each pixel is a count of photons, Poisson distributed.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the photons
expected at white, from `make_imagenet_c.py`; counts above them are white. Differs: rounded, not truncated;
a stronger severity reads the same words (the same quantile of another Poisson distribution); below
level 1 that level's noise is laid over the image by the share `severity`, since photons without end at
severity 0 need tables without end. Noise is per pixel, at any size.

Takes 16-bit words: one per value of the image. A count is looked up among the thresholds of its grey
level; a guide holds where to begin for the upper 8 bits of the word, most often where to end.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream, poisson_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 60.0, 2: 25.0, 3: 12.0, 4: 5.0, 5: 3.0}
RANGE = _levels.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A noisy copy of an image, uint8 (h, w) or (h, w, 3)."""
    (photons,) = _levels.at(__name__, LEVELS, severity, zero=LEVELS[1])
    guide, ends, greys = tables(photons, min(severity, 1.0))
    pixels = np.ascontiguousarray(value)
    noisy = np.empty_like(pixels)
    drawn = rng.words16(pixels.size)
    _count(pixels.reshape(-1), drawn, guide, ends, greys, noisy.reshape(-1))
    return noisy


@lru_cache(maxsize=32)
def tables(photons: float, share: float) -> tuple[NDArray[np.uint16], NDArray[np.int32], NDArray[np.uint8]]:
    """(guide, ends, greys) for the counts of all 256 grey levels, one after the other.

    Args:
        photons: expected at white.
        share: of the noise, 0 to 1.

    Returns:
        guide: uint16 (65,536,), index: grey level x 256 + upper 8 bits of a word; where its counts begin.
        ends: int32, the first word that belongs to a higher count; 65,536 ends a grey level's counts.
        greys: uint8, the grey level that a count becomes.
    """
    guide, ends, greys, start = [], [], [], 0
    cells = np.arange(0, 1 << 16, 256)
    white = int(np.ceil(photons))  # counts from here on are clipped
    for grey in range(256):
        counts = np.append(poisson_table(grey / 255 * photons)[:white], 1 << 16)
        counts = counts[: np.searchsorted(counts, 1 << 16) + 1]
        seen = np.minimum(np.arange(len(counts)) * (255 / photons), 255)
        guide.append(start + np.searchsorted(counts, cells, side="right"))
        ends.append(counts)
        greys.append(np.rint(grey + share * (seen - grey)))
        start += len(counts)
    return (
        np.concatenate(guide).astype(np.uint16),
        np.concatenate(ends).astype(np.int32),
        np.concatenate(greys).astype(np.uint8),
    )


@compiled
def _count(
    pixels: NDArray[np.uint8],
    words: NDArray[np.uint16],
    guide: NDArray[np.uint16],
    ends: NDArray[np.int32],
    greys: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    for i in range(len(pixels)):
        word = np.int32(words[i])
        place = np.int64(guide[(np.int64(pixels[i]) << 8) | (word >> 8)])
        while word >= ends[place]:
            place += 1
        out[i] = greys[place]
