"""Shear: rows slide past each other, or columns, as in a leaning letter.

Source: AugMix (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781), whose shears go up to a slope of 0.3;
ImageNet-P's go up to 15 degrees, a slope of 0.27 (Hendrycks & Dietterich 2019,
https://arxiv.org/abs/1903.12261). Levels are slopes: five equal steps (ours) to 0.3. Differs: about the
image's middle; the slope is the level's, which sides lean and to where is drawn; bilinear in integers;
outside of the image lies its mirror image (`border: constant` fills with `fill`).

Takes two 16-bit words (rows or columns, the sign).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels

FIELD = "image"
MOVES = True
LEVELS = {1: 0.06, 2: 0.12, 3: 0.18, 4: 0.24, 5: 0.3}
RANGE = _levels.RANGE
PARAMS = _geometry.PARAMS


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "reflect", fill: int = 0
) -> NDArray[np.uint8]:
    """Return a leaning copy of an image, uint8 (h, w) or (h, w, 3).

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
    (slope,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    outside = _geometry.checked(__name__, border, fill)
    rows, back = rng.uniform(2) < 0.5
    return _geometry.affine(value, matrix(-slope if back else slope, rows=bool(rows)), outside, fill)


def matrix(slope: float, *, rows: bool) -> _geometry.Matrix:
    """Return where a leaning image is read, in 65,536ths; its rows slide, or its columns."""
    one, lean = _geometry.ONE, round(slope * _geometry.ONE)
    return ((one, lean), (0, one)) if rows else ((one, 0), (lean, one))
