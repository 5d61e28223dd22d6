"""Object direction: the object is turned about its middle, and the hole that it leaves is filled.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: image and mask of the object are
rotated; the angle is an argument of the release, an older line of it draws it from -45 to 45 degrees. Levels
are degrees. `angle: end` turns by the level's angle, the sample draws to which side: a severity is one size of turn.
`angle: uniform` draws from minus to plus the level's angle, as that older line does at level 5. Differs: the object
stays whole: where it would reach out of the image it is moved inside, and made smaller where it is longer than the
image. The hole is filled smoothly, which shows where the
background has texture (there by diffusion).

Bilinear, times alpha, in integers: edges become a little softer than the object's own, as at severity 0.01,
which is the control for that.

Takes one 16-bit word (to which side, or how far).
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks, _objects, _turning

FIELD = None
LEVELS = {1: 9.0, 2: 18.0, 3: 27.0, 4: 36.0, 5: 45.0}
RANGE = _levels.RANGE
Angle = Annotated[
    Literal["end", "uniform"],
    Field(description="turn by the level's angle, or by a random one up to it, to either side"),
]
Size = Annotated[
    float, Field(ge=0, le=1, description="share of the image to which the object is first shrunk; 0: not shrunk")
]
ANGLES = ("end", "uniform")


def apply(value: Sample, severity: float, rng: RandomStream, *, angle: Angle = "end", size: Size = 0.0) -> Sample:
    """A sample whose object is turned, image and mask.

    `value`: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
    """
    (most,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if angle not in ANGLES:
        raise ParamsError(f"object_direction: angle is {angle!r}; allowed are {' and '.join(ANGLES)}")
    image, mask = _masks.fields(__name__, value)
    parts = _objects.find(__name__, image, mask)
    layer = _objects.shrunk(__name__, parts, _masks.rate(mask), size)
    if most == 0:
        return _objects.unchanged(value)
    radians = math.radians(most * _share(int(rng.words16(1)[0]), angle))
    turned = _turning.turned(layer, radians, mask.shape)
    top, left = _turning.beside(parts.box, turned, mask.shape)
    return _objects.placed(value, parts.background, turned, top, left)


def _share(word: int, angle: str) -> float:
    """Share of the level's angle for a random word, -1 to 1."""
    if angle == "uniform":
        return (2 * word + 1 - (1 << 16)) / (1 << 16)
    return 1.0 if word & 1 else -1.0
