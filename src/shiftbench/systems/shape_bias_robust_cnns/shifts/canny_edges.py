"""Canny edges: the picture fades into white contours on black, without texture and shading.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373, whose `generate_edge_maps.py` calls scikit-image's Canny with
sigma 0.4 and thresholds 0.35 and 0.9 on the grey picture (Rec. 709) from 0 to 1, https://github.com/anguyen8/shape-bias.
At level 5 it is theirs, to the pixel; levels are the share of the contours in the mixture, ours. Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.shape_bias_robust_cnns.shifts import _canny
from shiftbench.systems.shape_bias_robust_cnns.shifts._blend import blend

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
PARAMS: dict[str, object] = {"sigma": 0.4, "low": 0.35, "high": 0.9}


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    sigma: float = 0.4,
    low: float = 0.35,
    high: float = 0.9,
) -> NDArray[np.uint8]:
    """Return an image mixed with its contours, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    edges = _canny.canny(grey(value), sigma, low, high)
    return blend(value, np.where(edges, 255, 0).astype(np.uint8), share)


def grey(value: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the luminance of an image, 0 to 1, float64 (h, w); scikit-image's weights of red, green and blue."""
    if value.ndim == 2:
        return value / 255
    red, green, blue = (value[..., channel].astype(np.int64) for channel in range(3))
    return (2125 * red + 7154 * green + 721 * blue) / (10000 * 255)
