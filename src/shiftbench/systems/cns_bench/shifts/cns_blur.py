"""Blur of a scale: Gaussian, its deviation 0.7 x scale pixels of an image 28 px wide.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. As
`gaussian_blur`, whose levels are ImageNet-C's; on other images the deviation scales with the shorter side.

Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _blur, _levels
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE
SLOPE, SIDE = 0.7, 28


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A blurred copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 2.5.
    """
    _levels.check(__name__, severity, RANGE)
    if severity == 0:
        return np.ascontiguousarray(value).copy()
    sigma = SLOPE * severity * min(value.shape[:2]) / SIDE
    return _blur.gaussian(value, sigma, 1.0)  # sampled at pixels, however few there are
