"""Band noise: noise of one band of spatial frequencies, the same in all channels.

Source: Yin et al. 2019, "A Fourier Perspective on Model Robustness in Computer Vision",
https://arxiv.org/abs/1906.08988: how a network errs depends on the frequency of additive noise, at equal energy.
Levels are the root mean square of the noise relative to white, half of those of ImageNet-C's Gaussian noise
(ours). Differs: there single Fourier waves, here normal noise filtered to a band; not by a Fourier transform
in floats, whose bytes differ between CPUs, but by sums over squares of whole numbers.

`band` is `low` (the mean over squares of 11 px, taken twice, without the mean of all), `mid` (the mean over 3 px
minus that over 9, each twice) or `high` (the noise minus its mean over 3, twice): below 1/16, up to 1/4 and
above 1/4 cycles per pixel lie 94, 92 and 92 % of the energy (measured at 256 px; half of it below 0.03, 0.13
and 0.42). All have the same energy, before clipping to 0 to 255. Noise is per pixel, at any size.

Takes 16-bit words: one per pixel.
"""

import math
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream, normal_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.04, 2: 0.06, 3: 0.09, 4: 0.13, 5: 0.19}
RANGE = _levels.RANGE
Band = Annotated[
    Literal["low", "mid", "high"],
    Field(description="frequencies: below 1/16, 1/16 to 1/4, or above 1/4 cycles per pixel"),
]
BANDS = {"low": (11, 0), "mid": (3, 9), "high": (1, 3)}  # sides of the squares, fine and coarse
COARSE = 4  # bits of the normal table that are left out


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream, *, band: Band = "mid") -> NDArray[np.uint8]:
    """An image with noise of one band, uint8 (h, w) or (h, w, 3)."""
    (deviation,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    check(band)
    height, width = value.shape[:2]
    drawn = normal_table()[rng.words16(height * width)] >> COARSE
    field = filtered(drawn.reshape(height, width), *BANDS[band])
    energy = int(np.square(field, dtype=np.int64).sum())
    gain = 255 * deviation / math.sqrt(energy / field.size) if energy else 0.0
    noise = np.rint(field * gain).astype(np.int16)
    layers = cv2.merge([noise] * 3) if value.ndim == 3 else noise
    noisy = cv2.add(np.ascontiguousarray(value), layers, dtype=cv2.CV_8U)
    return np.asarray(noisy, dtype=np.uint8).reshape(value.shape)


def check(band: str) -> None:
    """Refuse an unknown band.

    Raises:
        ParamsError: it is none of `BANDS`.
    """
    if band not in BANDS:
        raise ParamsError(f"band_noise: band is {band!r}; allowed are {', '.join(BANDS)}")


def filtered(noise: NDArray[np.int32], fine: int, coarse: int) -> NDArray[np.int32]:
    """A band of `noise`, int32 (h, w) with up to 17 bits; `coarse` 0 is the mean of all."""
    smooth = _mean(noise, fine)
    if coarse:
        return smooth - _mean(noise, coarse)
    return smooth - np.int32(round(int(smooth.sum(dtype=np.int64)) / smooth.size))


def _mean(noise: NDArray[np.int32], side: int) -> NDArray[np.int32]:
    """The mean over squares of an odd side, and of that the mean once more, rounded."""
    if side == 1:
        return noise
    for _ in range(2):
        sums = cv2.boxFilter(noise, cv2.CV_32S, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT)
        noise = (np.asarray(sums, dtype=np.int32) + side * side // 2) // (side * side)
    return noise
