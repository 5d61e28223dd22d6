"""Translate: the image is moved in one direction.

Source: Engstrom et al. 2019, "Exploring the Landscape of Spatial Robustness",
https://arxiv.org/abs/1712.02779, whose translations of ImageNet go up to 24 of 224 px; AugMix's go up to a
third of the side (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781). Levels are pixels of a 224 px
image: steps of 12 (ours), so that level 2 is Engstrom's limit and level 5 lies below AugMix's. Differs: the
distance is the level's and scales with min(h, w) / 224, the direction is drawn from the circle; bilinear
in integers; outside of the image lies its mirror image (`border: constant` fills with `fill`).

Takes one 16-bit word (the direction).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels, _warp

FIELD = "image"
MOVES = True
LEVELS = {1: 12.0, 2: 24.0, 3: 36.0, 4: 48.0, 5: 60.0}
RANGE = _levels.RANGE
PARAMS = _geometry.PARAMS


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "reflect", fill: int = 0
) -> NDArray[np.uint8]:
    """Return a moved copy of an image, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 5.
        rng: the sample's random stream.
        border: what lies outside: `reflect`, `replicate` or `constant`.
        fill: grey level of what lies outside under `constant`.

    Raises:
        RangeError: severity outside 0 to 5.
        ParamsError: an option outside what is allowed.
    """
    (distance,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    outside = _geometry.checked(__name__, border, fill)
    right, down = move(distance * _levels.scale(value.shape), float(rng.uniform()))
    columns, rows = (np.arange(size, dtype=np.int32) * _warp.ONE for size in value.shape[1::-1])
    shape = value.shape[:2]
    return _warp.warp(
        value, np.broadcast_to(columns - right, shape), np.broadcast_to((rows - down)[:, None], shape), outside, fill
    )


def move(distance: float, turn: float) -> tuple[int, int]:
    """Return how far an image moves to the right and down, in 256ths of a pixel."""
    right, down = _geometry.unit(360 * turn)
    return round(distance * right / _warp.ONE), round(distance * down / _warp.ONE)
