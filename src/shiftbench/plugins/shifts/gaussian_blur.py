"""Gaussian blur.

Source: Hendrycks & Dietterich 2019 (ImageNet-C, held-out corruptions), https://arxiv.org/abs/1903.12261; levels are
the standard deviation in pixels of a 224 px image, from `make_imagenet_c.py`, which calls scikit-image's Gaussian
filter: cut off at 4 sigmas, edges repeated. Differs: sigma scales with min(h, w) / 224 (not with `scale: none`), and
below 224 px the Gaussian is sampled between the pixels too; weights are 256ths; a Gaussian wider than 6 pixels is
made on a reduced image; rounded, not truncated.

Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _blur, _levels

FIELD = "image"
LEVELS = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 6.0}
RANGE = _levels.RANGE


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, scale: _levels.Scale = "image"
) -> NDArray[np.uint8]:
    """A blurred copy of an image, uint8 (h, w) or (h, w, 3)."""
    (sigma,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    return _blur.gaussian(value, sigma, _levels.scale(value.shape, scale))
