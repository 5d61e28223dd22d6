"""Background replaced: the object stays, what is behind it fades into a crop of a photo.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3 ("random background": the
background becomes that of another image). Levels are the share of the new background; 5 replaces it. Differs:
pasted, where the paper blends object and background by diffusion: seams make our edits easier to notice;
the photos have no main object, but hold houses, plants and paths; with `photos: first` or
`second` training and test can be kept on different places. In `background_photos.csv` no place is in both.
`photos: held_out` takes textures of scikit-image instead (brick, coins, grass, gravel, text).

Where the mask is 255 the image keeps its bytes. At soft edges the old background is taken out and the new
one put in, so that no fringe of the old colour stays. The mask does not change.

Takes one raw word (photo, size and place of the crop).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _backgrounds, _levels, _masks

TITLE = "Replaced background"
FIELD = None
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
SOURCES = _backgrounds.SOURCES


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The photos that are asked for."""
    return [refs.sources(_backgrounds.source(params["photos"]))]


def apply(
    value: Sample,
    severity: float,
    rng: RandomStream,
    *,
    photos: _backgrounds.Photos = "all",
    sources: Mapping[str, Path],
) -> Sample:
    """A sample with another background behind the object.

    `value`: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    image, mask = _masks.fields(__name__, value)
    new = _backgrounds.crop(image.shape, rng, sources, photos).astype(np.int16)
    other = new - _masks.behind(image, mask)
    return value.with_field("image", _masks.changed(image, mask, other, round(share * 256)))
