"""Sketch of a scale: the image fades into its edges, light on black; 0.4 x scale of these, all of them at 2.5.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. Sobel's edges as
`edge_sketch` draws them, there dark on white paper; light lines suit things on black ground. Takes no random words.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import edge_sketch
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image mixed with its edges, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 2.5.
    """
    share = _cns.part(__name__, severity)
    image = np.ascontiguousarray(value)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    lines = 255 - edge_sketch.drawing(np.asarray(grey, np.uint8))
    return _cns.blend(image, _cns.layer(lines, image.shape), share)
