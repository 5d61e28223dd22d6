"""Histogram matching: grey levels are exchanged so that each channel gets a reference's histogram.

Source: Gonzalez & Woods, "Digital Image Processing" (4th ed. 2018), section 3.3 "Histogram matching
(specification)"; the same in scikit-image's `match_histograms`. Each value gets the reference's value of
the same rank; levels are how much of the way is gone, level 5 is matched. Differs: the rank of a grey level is
the middle of its pixels' ranks (there the last), so that one flat colour becomes the reference's median
and not its maximum; whole grey levels, by counting alone.

The default reference is the photograph `flower.jpg` that scikit-learn ships (by dany13, CC BY 2.0): counts
of its three channels, and of its luma for grey images. Takes no random words.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
ASSETS = ("histogram_matching.csv",)

Counts = Sequence[int] | Sequence[Sequence[int]]
Reference = Annotated[
    Counts | None, Field(description="256 counts for all channels, or three lists of 256; null: of a photo of a flower")
]


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, reference: Reference = None
) -> NDArray[np.uint8]:
    """A copy of an image with other grey levels, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    channels = value.shape[2] if value.ndim == 3 else 1
    target = reference_counts(reference, channels)
    counts = np.zeros((channels, 256), dtype=np.int64)
    _count(np.ascontiguousarray(value).reshape(-1, channels), counts)
    table = np.stack([blended(*pair, share) for pair in zip(counts, target, strict=True)], axis=-1)
    changed = cv2.LUT(value, table.reshape(256, 1, channels))
    return np.asarray(changed, dtype=np.uint8).reshape(value.shape)


def blended(counts: NDArray[np.int64], target: NDArray[np.int64], share: float) -> NDArray[np.uint8]:
    """New value of each grey level of a channel with these counts, uint8 (256,)."""
    below = np.cumsum(counts)
    ranks = (2 * below - counts) * target.sum()  # of the middle pixel of each grey level
    matched = np.searchsorted(np.cumsum(target) * (2 * below[-1]), ranks)
    grey = np.arange(256)
    table: NDArray[np.uint8] = np.rint(grey + share * (matched - grey)).astype(np.uint8)
    return table


def reference_counts(reference: Counts | None, channels: int) -> NDArray[np.int64]:
    """The reference's counts, int64 (channels, 256).

    Raises:
        ParamsError: not 256 (or three times 256) counts from 0 to 2**31, some above 0.
    """
    if reference is None:
        columns = default_counts()
        return columns[:3] if channels == 3 else columns[3:]
    counts = _as_counts(reference)
    if counts.shape not in {(256,), (channels, 256)} or not counts.any(-1).all():
        raise ParamsError(
            "histogram_matching: reference is no histogram; give 256 counts (whole numbers from 0 to 2**31, some "
            f"above 0) for every channel, or {channels} lists of 256"
        )
    return np.broadcast_to(counts, (channels, 256))


def _as_counts(reference: Counts) -> NDArray[np.int64]:
    """Whole numbers as int64; what is none, or one is too small or large, is empty."""
    try:
        counts = np.array(reference)
    except ValueError:  # lists of different lengths
        counts = np.zeros(0)
    fits = counts.dtype.kind in "iu" and counts.size and counts.min() >= 0 and counts.max() < 1 << 31
    return counts.astype(np.int64) if fits else np.zeros(0, dtype=np.int64)


@lru_cache(maxsize=1)
def default_counts() -> NDArray[np.int64]:
    """The counts of red, green, blue and luma of the default reference, int64 (4, 256)."""
    path = Path(__file__).with_name(ASSETS[0])
    return np.loadtxt(path, dtype=np.int64, delimiter=",", skiprows=1, unpack=True)


@compiled
def _count(pixels: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    """Add each pixel (n, channels) to `counts` (channels, 256)."""
    for i in range(pixels.shape[0]):
        for channel in range(pixels.shape[1]):
            counts[channel, pixels[i, channel]] += 1
