"""Object position: the object goes some way to a random place, and the hole that it leaves is filled.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: the object's box is pasted at
a uniformly random place that keeps it inside the image. Levels are the share of the way there; 5 is the
paper's. Differs: `place: corner`; `size` first makes the object smaller at every severity above 0, for images that it
fills: its control is `object_size` at that share. The hole is filled smoothly, which shows where the background has
texture (there by diffusion).

Takes two 16-bit words (down, right).
"""

from typing import Annotated, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks, _objects

FIELD = None
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
PLACES = ("anywhere", "corner")
Place = Annotated[
    Literal["anywhere", "corner"], Field(description="a random place in the image, or one of the four corners")
]
Size = Annotated[
    float, Field(ge=0, le=1, description="share of the image that the object is shrunk to first; 0: as it is")
]


def apply(value: Sample, severity: float, rng: RandomStream, *, place: Place = "anywhere", size: Size = 0.0) -> Sample:
    """A sample whose object is elsewhere, image and mask.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
        severity: 0 to 5.
        rng: the sample's random stream.
        place: where the object goes.
        size: share of the image that the object is shrunk to first.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field is missing or of the wrong size, or the mask shows no object.
        ParamsError: an option outside what is allowed.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    if place not in PLACES:
        raise ParamsError(f"object_position: place is {place!r}; allowed are {' and '.join(PLACES)}")
    image, mask = _masks.fields(__name__, value)
    parts = _objects.find(__name__, image, mask)
    layer = _objects.shrunk(__name__, parts, _masks.rate(mask), size)
    if share == 0:
        return _objects.unchanged(value)
    starts = (parts.box.top, parts.box.left)
    sides = zip(starts, parts.layer.shape, layer.shape, mask.shape, rng.words16(2), strict=False)
    top, left = (
        _start(start + (old - new) // 2, whole - new, int(word), place, share) for start, old, new, whole, word in sides
    )
    return _objects.placed(value, parts.background, layer, top, left)


def _start(start: int, last: int, word: int, place: str, share: float) -> int:
    """Start of the object along one side, from 0 to `last`."""
    goal = word * (last + 1) >> 16 if place == "anywhere" else last * (word >> 15)
    return round(start + (goal - start) * share)
