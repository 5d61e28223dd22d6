"""NAME: brighter images, each by its own amount.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261, "brightness".
Differs: adds grey instead of raising V of HSV, and varies by a fifth between images.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "image"
LEVELS = {1: 25, 2: 50, 3: 75, 4: 100, 5: 125}  # grey levels that are added
RANGE = (0.0, 5.0)
Spread = Annotated[float, Field(ge=0, le=1, description="largest deviation from the level's amount, as a share of it")]


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream, *, spread: Spread = 0.2) -> NDArray[np.uint8]:
    """A brighter copy of an image, uint8 (h, w) or (h, w, 3).

    Between two levels the amount is interpolated. `rng` is this image's own randomness, the same at each severity.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (amount,) = _levels.at(__name__, LEVELS, severity, zero=0)
    own = 1 + spread * (2 * float(rng.uniform()) - 1)
    brighter = value.astype(np.int16) + round(amount * own)
    return np.clip(brighter, 0, 255).astype(np.uint8)
