"""Rotate: the image is turned about its middle, to the left or to the right.

Source: Engstrom et al. 2019, "Exploring the Landscape of Spatial Robustness",
https://arxiv.org/abs/1712.02779, whose rotations go up to 30 degrees, as AugMix's do (Hendrycks et al. 2020,
https://arxiv.org/abs/1912.02781); ImageNet-P turns by up to 15. Levels are degrees: five equal steps (ours)
to 30. Differs: the angle is the level's, only its sign is drawn; bilinear in integers; outside of the
image lies its mirror image (`border: constant` fills with `fill`, as they do with black).

Takes one 16-bit word (the sign).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels

TITLE = "Rotation"
FIELD = "image"
MOVES = True
LEVELS = {1: 6.0, 2: 12.0, 3: 18.0, 4: 24.0, 5: 30.0}
RANGE = _levels.RANGE
PARAMS = _geometry.PARAMS


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "reflect", fill: int = 0
) -> NDArray[np.uint8]:
    """Return a turned copy of an image, uint8 (h, w) or (h, w, 3).

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
    (degrees,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    outside = _geometry.checked(__name__, border, fill)
    return _geometry.affine(value, matrix(degrees, _geometry.sign(rng)), outside, fill)


def matrix(degrees: float, sign: int) -> _geometry.Matrix:
    """Return where a turned image is read, in 65,536ths; sign 1 turns to the left."""
    cosine, sine = _geometry.unit(degrees)
    return (cosine, -sign * sine), (sign * sine, cosine)
