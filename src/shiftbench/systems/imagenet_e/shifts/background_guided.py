"""Background guided: what is behind the object goes up or down the gradient of its complexity.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: a diffusion model is guided by
the gradient of -lambda C(x), C(x) = mean |FFT2(x)| over channels and frequencies (x in 0 to 1), from the background
without its object, which is set back; lambda 20 is the paper's busier background, -20 the plainer one. Differs: there
is no diffusion model: the pixels of the background (the hole filled) take `steps` steps (25) along the gradient of
its C, lambda / steps grey levels each (root mean square), held within black and white in place of a penalty; on the
way down a coefficient of the transform that a step would carry beyond 0 ends there. So lambda is in grey levels, and
comparable with the paper's by its sign only, which is `way`. (The release's script tests `[ $1 > 0 ]`, a redirection,
so that its `hard` branch is always taken and the number alone decides.)

Levels are |lambda|. Where the mask is 255 the image keeps its bytes, half transparent pixels change half; the mask does
not change. The Fourier transform is one of `_complexity`, the same on every CPU.

Takes no random words.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks
from shiftbench.systems.imagenet_e.shifts import _complexity

FIELD = None
LEVELS = {1: 10.0, 2: 20.0, 3: 30.0, 4: 40.0, 5: 50.0}
RANGE = _levels.RANGE
SIGN = {"up": 1.0, "down": -1.0}
Way = Annotated[Literal["up", "down"], Field(description="up: a busier background (lambda > 0); down: a plainer one")]
Steps = Annotated[int, Field(ge=1, description="steps along the gradient")]


def apply(
    value: Sample, severity: float, rng: RandomStream, *, way: Way = "up", steps: Steps = _complexity.STEPS
) -> Sample:
    """A sample with a busier or plainer background.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
        severity: 0 to 5.
        rng: not used.
        way: sign of lambda.
        steps: along the gradient.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field is missing or of the wrong size.
        ParamsError: an option outside what is allowed.
    """
    (size,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if way not in SIGN:
        raise ParamsError(f"background_guided: way is {way!r}; allowed are {' and '.join(SIGN)}")
    if steps < 1:
        raise ParamsError(f"background_guided: steps is {steps}; at least 1")
    image, mask = _masks.fields(__name__, value)
    behind = _masks.behind(image, mask)
    other = _complexity.guide(behind, SIGN[way] * size, steps).astype(np.int16) - behind
    return value.with_field("image", _masks.changed(image, mask, other, 256))
