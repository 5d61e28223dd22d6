"""Contrast, slowly: so that a test can kill a run in the middle.

Source: none; a user's shift for the tests.
"""

import time

import numpy as np

from shiftbench.base.rng import RandomStream

FIELD = "image"
LEVELS = {level: level / 6 for level in range(1, 6)}
RANGE = (0.0, 5.0)
PARAMS = {"pause": 0.0}


def apply(value: np.ndarray, severity: float, rng: RandomStream, pause: float) -> np.ndarray:
    """Pull grey levels towards 128."""
    time.sleep(pause)
    return (128 + (value.astype(np.int32) - 128) * (6 - int(severity)) // 6).astype(np.uint8)
