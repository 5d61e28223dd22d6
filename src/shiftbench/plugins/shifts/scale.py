"""Scale: the image is seen from nearer or from farther away.

Source: ImageNet-P (Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261), whose `scale` goes from
0.4 to 1.15 times the size in `make_imagenet_p.py`, a factor of 2.5 away; Azulay & Weiss 2019,
https://arxiv.org/abs/1805.12177, on what small ones do. Levels are factors (ours), up to half or
double the size. Differs: the factor is the level's, nearer or farther is drawn; bilinear in integers
without smoothing before, as there; outside of the image lies its mirror image (`border: constant` fills
with `fill`).

Takes one 16-bit word (nearer or farther).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels

FIELD = "image"
MOVES = True
LEVELS = {1: 1.15, 2: 1.3, 3: 1.5, 4: 1.75, 5: 2.0}
RANGE = _levels.RANGE
PARAMS = _geometry.PARAMS


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "reflect", fill: int = 0
) -> NDArray[np.uint8]:
    """Return a larger or smaller copy of an image, in its own size, uint8 (h, w) or (h, w, 3).

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
    (factor,) = _levels.at(__name__, LEVELS, severity, zero=1.0)
    outside = _geometry.checked(__name__, border, fill)
    return _geometry.affine(value, matrix(factor, _geometry.sign(rng)), outside, fill)


def matrix(factor: float, sign: int) -> _geometry.Matrix:
    """Return where an image `factor` times as large (sign 1) or small (-1) is read, in 65,536ths."""
    step = round((1 / factor if sign > 0 else factor) * _geometry.ONE)
    return (step, 0), (0, step)
