"""Greyscale: every channel is drawn towards the pixel's luma, until no colour is left.

Source: Geirhos et al. 2018, "Generalisation in humans and deep neural networks",
https://arxiv.org/abs/1808.08750 (the experiment "colour vs. greyscale"); levels are how much of the way
is gone, level 5 is grey. Differs: theirs is level 5 only; luma has the weights of ITU-R BT.601 (0.299,
0.587, 0.114, here in 65,536ths: Pillow's `L`), there those of BT.709. A grey image stays as it is.
Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
ONE = 1 << 16
LUMA = (19595, 38470, 7471)  # sum to ONE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A copy of an image with less colour, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if value.ndim == 2:
        return value.copy()
    pixels = np.ascontiguousarray(value)
    paler = np.empty_like(pixels)
    _draw(pixels.reshape(-1, 3), round(share * ONE), paler.reshape(-1, 3))
    return paler


@compiled
def _draw(pixels: NDArray[np.uint8], share: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` with (1 - share) x channel + share x luma; `share` in 65,536ths."""
    for i in range(len(pixels)):
        red, green, blue = np.int64(pixels[i, 0]), np.int64(pixels[i, 1]), np.int64(pixels[i, 2])
        luma = red * 19595 + green * 38470 + blue * 7471
        common = luma * share + (1 << 31)
        keep = (65536 - share) << 16
        out[i, 0] = (red * keep + common) >> 32
        out[i, 1] = (green * keep + common) >> 32
        out[i, 2] = (blue * keep + common) >> 32
