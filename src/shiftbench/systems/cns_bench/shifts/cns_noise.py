"""Noise of a scale: Gaussian noise of deviation 0.12 x scale of white, the same field at every scale.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. As
`gaussian_noise`, whose levels are ImageNet-C's.

Takes 16-bit words: one per value of the image.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, gaussian_noise
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE
SLOPE = 0.12


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """A noisy copy of an image, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 2.5.
    """
    _levels.check(__name__, severity, RANGE)
    noise = gaussian_noise.noise_table(SLOPE * severity)[rng.words16(value.size)]
    noisy = value.astype(np.int32) + noise.reshape(value.shape)
    return np.ascontiguousarray(noisy.clip(0, 255).astype(np.uint8))
