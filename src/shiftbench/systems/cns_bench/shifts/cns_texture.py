"""Texture of a scale: the object fades into a piece of a photo, the background stays; 0.4 x scale of it is seen.

Source: the embedded analogue of CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651; see `_cns`. The object is
what is lighter than `above` (Fashion-MNIST has no masks: things on black); photos as in
`background_replaced`, the same piece at every scale.

Takes one raw word (photo, size and place of the crop).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _backgrounds
from shiftbench.systems.cns_bench.shifts import _cns

FIELD = "image"
LEVELS: dict[int, float] = {}
RANGE = _cns.RANGE
SOURCES = (_backgrounds.SOURCE,)


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    above: Annotated[int, Field(ge=0, le=255, description="grey level above which a pixel is of the object")] = 20,
    photos: _backgrounds.Photos = "all",
    sources: Mapping[str, Path],
) -> NDArray[np.uint8]:
    """An image whose object has another texture, uint8 (h, w) or (h, w, 3).

    Args:
        value: the image.
        severity: 0 to 2.5.
        rng: the sample's random stream.
        above: the grey level (of the lightest channel) that background has at most.
        photos: part of the photos.
        sources: the folder of `background_photos`.

    Raises:
        RangeError: severity outside 0 to 2.5.
        DataError: the photos are not there.
        ParamsError: no such part of the photos.
    """
    share = _cns.part(__name__, severity)
    photo = _backgrounds.crop(value.shape, rng, sources, photos)
    lightest = value if value.ndim == 2 else value.max(axis=2)
    inside = np.where(lightest > above, share, 0).astype(np.int32)
    return _cns.blend(value, photo, inside if value.ndim == 2 else inside[..., None])
