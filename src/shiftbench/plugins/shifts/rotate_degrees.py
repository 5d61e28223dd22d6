"""Rotation by as many degrees as the severity says, to the left: a drift whose strength is an angle.

Source: the turning test sets of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness", ICLR 2019
(https://arxiv.org/abs/1903.12261), section 3 (ImageNet-P), here with the angle as severity, 0 to 180. Differs from
`rotate`: the angle is no level, the side is not drawn, and what lies outside is black (`border: constant`), as the
background of silhouettes and clothes is. Every angle goes through the same bilinear resampler, 0 included, which it
gives back unchanged.

Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _geometry, _levels, rotate

TITLE = "Rotation in degrees"
FIELD = "image"
MOVES = True
LEVELS: dict[int, float] = {}
RANGE = _geometry.DEGREES
PARAMS: dict[str, object] = {"border": "constant", "fill": 0}


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, border: str = "constant", fill: int = 0
) -> NDArray[np.uint8]:
    """A turned copy of an image, uint8 (h, w) or (h, w, 3).

    `fill`: grey level of what lies outside under `constant`.
    """
    _levels.check(__name__, severity, RANGE)
    outside = _geometry.checked(__name__, border, fill)
    return _geometry.affine(value, rotate.matrix(severity, 1), outside, fill)
