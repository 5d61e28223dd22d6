"""Object full: the image is cut to the object's box, so that the object fills it.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3, the size "Full": the crop is the
object's bounding box, widened to the image's aspect. Levels are the share of the way there: the crop's four sides go
from the image's to the box's; 5 is the paper's. Differs: where the widened box would reach out of the image it is
moved inside.

Bilinear, in integers; image and mask alike. The object's pixels are enlarged, so that they do not keep their bytes.
Takes no random words.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks, _objects
from shiftbench.plugins.shifts._warp import ONE, warp

FIELD = None
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A sample that is cut to its object, image and mask.

    Args:
        value: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
        severity: 0 to 5.
        rng: not used.

    Raises:
        RangeError: severity outside 0 to 5.
        DataError: a field is missing or of the wrong size, or the mask shows no object.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    image, mask = _masks.fields(__name__, value)
    (top, height), (left, width) = smallest_window(_masks.box(__name__, mask), *mask.shape)
    if share == 0:
        return _objects.unchanged(value)
    map_y = _places(top * share, mask.shape[0], height, share)
    map_x = _places(left * share, mask.shape[1], width, share)
    maps = (np.ascontiguousarray(m) for m in np.broadcast_arrays(map_x[None], map_y[:, None]))
    columns, rows = maps
    cut = warp(np.ascontiguousarray(image), columns, rows, border="replicate")
    return value.with_field("image", cut).with_field(
        "mask", warp(np.ascontiguousarray(mask), columns, rows, border="replicate")
    )


def smallest_window(box: _masks.Box, height: int, width: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """(top, height) and (left, width) of the smallest window of the image's aspect that holds a box."""
    factor = max(box.height / height, box.width / width)
    return (
        _fit_inside(box.top + box.bottom, factor * height, height),
        _fit_inside(box.left + box.right, factor * width, width),
    )


def _fit_inside(twice_middle: int, size: float, whole: int) -> tuple[float, float]:
    return min(max((twice_middle - size) / 2, 0.0), whole - size), size


def _places(start: float, whole: int, size: float, share: float) -> NDArray[np.int32]:
    """Source position of each pixel of a side, in 256ths: `whole` places over a window that starts at `start`."""
    step = 1 + (size / whole - 1) * share
    middles = (np.arange(whole, dtype=np.float64) + 0.5) * step + start - 0.5
    return np.rint(middles * ONE).astype(np.int32)
