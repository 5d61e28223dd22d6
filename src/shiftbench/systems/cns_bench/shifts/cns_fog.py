"""Fog of a scale: the image fades into a smooth field, of which 0.3 x scale is seen.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. The field is a
plasma fractal as in `fog`, spread over black to white, the same at every scale.

Takes 16-bit words: one per map point but the first, as `fog` does.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts._noise_fields import map_side, plasma
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE
MOST = 0.75  # 0.3 x 2.5
DECAY = 2.0  # of the field's detail: the smoothest of `fog`


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A foggy copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 2.5.
    """
    share = _cns.part(__name__, severity, MOST)
    height, width = value.shape[:2]
    field = plasma(map_side(height, width), DECAY, rng)[:height, :width]
    low, high = np.float64(field.min()), np.float64(field.max())
    spread = (field.astype(np.float64) - low) * (255 / ((high - low) or 1.0))
    return _cns.blend(value, _cns.layer(np.rint(spread).astype(np.uint8), value.shape), share)
