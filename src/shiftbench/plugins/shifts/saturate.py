"""Saturate: the saturation of each pixel is multiplied and raised, hue and brightness stay.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261 (held out); levels are (factor,
summand) of HSV's saturation, from `make_imagenet_c.py`. With hue and value kept, the distance of every
channel to the brightest one is multiplied by new saturation / old saturation: here in integers, by a
factor from a table over (brightest channel, distance of the darkest one). As in the original a grey pixel
has hue 0, so that a summand makes it red. Differs: rounded, not truncated.

The published levels 1 and 2 take saturation away, 3 to 5 add: `profile: published` has these five only.
`profile: continuous` adds throughout. A grey image has no saturation and stays as it is, as in
`imagecorruptions`. Takes no random words.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: (0.3, 0.0), 2: (0.1, 0.0), 3: (2.0, 0.0), 4: (5.0, 0.1), 5: (20.0, 0.2)}
LEVELS_CONTINUOUS = {**LEVELS, 1: (1.4, 0.0), 2: (1.7, 0.0)}
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
BITS = 16  # fractional bits of a factor


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, profile: _levels.Profile = "published"
) -> NDArray[np.uint8]:
    """A copy of an image with other saturation, uint8 (h, w) or (h, w, 3)."""
    factor, summand = constants(severity, profile)
    if value.ndim == 2:
        return value.copy()
    pixels = np.ascontiguousarray(value)
    changed = np.empty_like(pixels)
    _stretch(pixels.reshape(-1, 3), table(factor, summand), changed.reshape(-1, 3))
    return changed


def constants(severity: float, profile: str) -> tuple[float, ...]:
    """(factor, summand) of a profile at a severity."""
    if profile == "published":
        return _levels.published(__name__, LEVELS, severity, zero=(1.0, 0.0))
    if profile == "continuous":
        return _levels.at(__name__, LEVELS_CONTINUOUS, severity, zero=(1.0, 0.0))
    raise ParamsError(f"saturate: profile is {profile!r}; allowed are published and continuous")


@lru_cache(maxsize=32)
def table(factor: float, summand: float) -> NDArray[np.int32]:
    """Int32 (256, 256) in 65,536ths: by what a distance to the brightest channel is multiplied.

    Index: brightest channel, then its distance to the darkest one. In column 0 (grey) it is instead how
    far green and blue fall.
    """
    brightest, distance = np.mgrid[:256, :256].astype(np.float64)
    target = np.clip(distance * factor + brightest * summand, 0, brightest)
    ratio = target / np.where(distance == 0, 1, distance)
    whole: NDArray[np.int32] = np.rint(ratio * (1 << BITS)).astype(np.int32)
    return whole


@compiled
def _stretch(pixels: NDArray[np.uint8], factors: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    for i in range(len(pixels)):
        red, green, blue = np.int32(pixels[i, 0]), np.int32(pixels[i, 1]), np.int32(pixels[i, 2])
        brightest = max(red, green, blue)
        distance = brightest - min(red, green, blue)
        factor = factors[brightest, distance]
        if distance == 0:  # grey: its hue is red
            fall = (factor + 32768) >> 16
            out[i, 0], out[i, 1], out[i, 2] = red, green - fall, blue - fall
        else:
            out[i, 0] = brightest - (((brightest - red) * factor + 32768) >> 16)
            out[i, 1] = brightest - (((brightest - green) * factor + 32768) >> 16)
            out[i, 2] = brightest - (((brightest - blue) * factor + 32768) >> 16)
