"""Sensor noise: the image as a camera would take it in little light: photons, read-out, 12 bits, gamma.

Source: Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data",
https://doi.org/10.1109/TIP.2008.2001399: in the linear raw value y of a pixel the noise has the variance a y +
b and what leaves 0 to 1 is clipped. Levels are a; b follows from it as in Brooks et al. 2019, "Unprocessing
Images for Learned Raw Denoising", https://arxiv.org/abs/1811.11127, section 3.1: log b = 2.18 log a + 1.20
(natural logarithms). Their a goes up to 0.012, level 3; levels 4 and 5 double it (ours). Differs: the raw
image is the image without its sRGB gamma (no mosaic, colour matrix or white balance); counts of 1 / a
photons at white are Poisson, whose normal approximation they use.

A count is drawn from an exact table where less than `MANY` are expected; above, from the normal quantile z as
m + z sqrt(m) + (z^2 - 1) / 6, rounded (Cornish & Fisher 1938), one photon off in 1 of 60 draws at most (tested).
Takes 16-bit words: one per value of the image for its photons, then one per value for its read-out.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream, normal_table, poisson_table
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.003, 2: 0.006, 3: 0.012, 4: 0.024, 5: 0.048}
RANGE = _levels.RANGE
WHITE = 4095  # of a converter of 12 bits
MANY = 32  # photons
LEAST = 1e-9  # the noise of 10**9 photons is far below one raw value


class Camera(NamedTuple):
    """Tables of one amount of light; int64 where not said.

    Args:
        mean: photons that are expected at each grey level, in 1,024ths (256,).
        spread: square roots of that, in 1,024ths (256,).
        starts: where the thresholds of each grey level lie (257,).
        thresholds: words from which on there is one photon more, for all grey levels with few.
        guide: photons of the word whose upper byte this is and whose lower is 0, uint8 (256, 256).
        gain: raw value of one photon, in 2**32ths.
        read: standard deviation of the read-out, in 65,536ths of a raw value.
    """

    mean: NDArray[np.int64]
    spread: NDArray[np.int64]
    starts: NDArray[np.int64]
    thresholds: NDArray[np.int64]
    guide: NDArray[np.uint8]
    gain: int
    read: int


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A noisy copy of an image, uint8 (h, w) or (h, w, 3)."""
    (shot,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    noisy = np.array(value, order="C")
    if shot > 0:
        drawn = rng.words16(value.size), rng.words16(value.size)
        _expose(noisy.reshape(-1), *drawn, normal_table(), developed(), camera(shot))
    return noisy


@lru_cache(maxsize=16)
def camera(shot: float) -> Camera:
    """The tables of a camera with the variance `shot` x y of its photons."""
    shot = max(shot, LEAST)
    rates = [linear / (1 << 24) / shot for linear in _linear()]
    few = [poisson_table(rate) if rate < MANY else np.empty(0, np.int64) for rate in rates]
    upper = np.arange(256) << 8
    read = math.exp((2.18 * math.log(shot) + 1.20) / 2)
    return Camera(
        np.array([round(1024 * rate) for rate in rates]),
        np.array([round(1024 * math.sqrt(rate)) for rate in rates]),
        np.cumsum([0] + [len(table) for table in few]),
        np.concatenate(few),
        np.array([np.searchsorted(table, upper, side="right") for table in few], dtype=np.uint8),
        round(WHITE * shot * (1 << 32)),
        round(WHITE * read * (1 << 16)),
    )


@lru_cache(maxsize=1)
def _linear() -> list[int]:
    """The light of each grey level in 2**24ths of white: sRGB's curve (IEC 61966-2-1)."""
    levels = [level / 255 for level in range(256)]
    light = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
    return [round(amount * (1 << 24)) for amount in light]


@lru_cache(maxsize=1)
def developed() -> NDArray[np.uint8]:
    """The grey level of each raw value, by sRGB's curve."""
    raw = [value / WHITE for value in range(WHITE + 1)]
    shown = [12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in raw]
    return np.array([round(255 * level) for level in shown], dtype=np.uint8)


@compiled
def _expose(
    pixels: NDArray[np.uint8],
    photon_words: NDArray[np.uint16],
    read_words: NDArray[np.uint16],
    normal: NDArray[np.int32],
    shown: NDArray[np.uint8],
    camera: Camera,
) -> None:
    """Replace `pixels` (n,) by what the camera sees of them."""
    for i in range(len(pixels)):
        level = pixels[i]
        word = np.int64(photon_words[i])
        first = camera.starts[level]
        if first == camera.starts[level + 1]:
            z = np.int64(normal[word])
            skew = (((z * z) >> 20) - (1 << 20)) // 6144
            photons = (camera.mean[level] + ((camera.spread[level] * z) >> 20) + skew + 512) >> 10
        else:
            photons = np.int64(camera.guide[level, word >> 8])
            while camera.thresholds[first + photons] <= word:
                photons += 1
        noise = (camera.read * np.int64(normal[read_words[i]])) >> 20
        raw = (photons * camera.gain + (noise << 16) + (1 << 31)) >> 32
        pixels[i] = shown[min(max(raw, 0), 4095)]
