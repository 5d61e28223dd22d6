"""Background complexity: the texture behind the object is made busier, or plainer.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: complexity is
C(x) = mean |FFT2(x)|, over channels and frequencies; a diffusion model is guided up or down its gradient
(lambda = 20 and -20). Differs: no gradient is followed (`background_guided` does): texture is added or taken
away, which raises or lowers C (tested for all levels). Texture is what differs from a blur (a box of 9 px at
224 px, twice). `way: down` changes nothing where the background has no texture (white behind a cut-out).

Levels are grey levels: the mean size of the texture that is added (up; white and black clip it), and the
share that is taken away (down). Where the mask is 255 the image keeps its bytes; the mask does not change.

Takes one raw word (photo, size and place of the crop), only with `texture: photo` and `way: up`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _backgrounds, _levels, _masks

FIELD = None
LEVELS = {1: (8.0, 0.2), 2: (16.0, 0.4), 3: (24.0, 0.6), 4: (32.0, 0.8), 5: (40.0, 1.0)}
RANGE = _levels.RANGE
SOURCES = _backgrounds.SOURCES
Way = Annotated[Literal["up", "down"], Field(description="add texture, or take it away")]
Texture = Annotated[
    Literal["photo", "own"],
    Field(description="what is added with `way: up`: texture of a photo, or more of the own one"),
]
REACH = 4.0  # the blur's half width at 224 px
MOST = 32 * 256  # a texture is amplified 32 times at most, in 256ths


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The photos, if their texture is added."""
    adds_photo = params["way"] == "up" and params["texture"] == "photo"
    return [refs.sources(_backgrounds.source(params["photos"]))] if adds_photo else []


def apply(  # noqa: PLR0913 - options of the shift
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    way: Way = "up",
    texture: Texture = "photo",
    photos: _backgrounds.Photos = "all",
    sources: Mapping[str, Path],
) -> Sample:
    """A sample with a busier or plainer background.

    `value`: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
    """
    size, share = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    _check("way", way, ("up", "down"))
    _check("texture", texture, ("photo", "own"))
    image, mask = _masks.fields(__name__, value)
    if way == "down":
        details, weight = _details(_masks.behind(image, mask)), -round(share * 256)
    elif texture == "own":
        details = _details(_masks.behind(image, mask))
        weight = _weight(details, size)
    else:
        details = _details(_backgrounds.crop(image.shape, rng, sources, photos))
        weight = _weight(details, size)
    return value.with_field("image", _masks.changed(image, mask, details, weight))


def _check(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ParamsError(f"background_complexity: {option} is {value!r}; allowed are {' and '.join(allowed)}")


def _details(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    """The image less its blur (a box, twice), in grey levels."""
    side = 2 * max(1, round(REACH * _levels.scale(picture.shape))) + 1
    smooth = picture
    for _ in range(2):  # once would turn the sign of some frequencies
        total = cv2.boxFilter(smooth, cv2.CV_32S, (side, side), normalize=False)
        smooth = ((total + side * side // 2) // (side * side)).astype(np.uint8)
    return picture.astype(np.int16) - smooth.reshape(picture.shape)


def _weight(details: NDArray[np.int16], size: float) -> int:
    """By how many 256ths details are multiplied, so that their mean size is `size`."""
    total = int(np.abs(details).sum(dtype=np.int64))
    return min(MOST, round(256 * size * details.size / total)) if total else 0
