"""Objects and what is behind them: what the edits of one object attribute share.

An image is taken apart as `image = layer + (255 - mask) * background / 255`: `layer` is the object times
its alpha, `background` what is where no object is, continued behind it. All in integers, rounded; where the
mask is 255 the background has no part, so that the object's pixels stay as they are, to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.errors import DataError
from shiftbench.sample import Sample

VISIBLE = 8  # alpha below is dust around cut-outs; it does not count for where an object is
CUT_OUTS = "twelve_photo, twelve_clipart and the twelve_emoji data sets"


class Box(NamedTuple):
    """Where an object is, in pixels; `bottom` and `right` are the first outside."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left


def fields(name: str, sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the image, uint8 (h, w) or (h, w, 3), and the mask, uint8 (h, w), of a sample.

    Args:
        name: the shift's `__name__`, for messages.
        sample: with the fields `image` and `mask`.

    Raises:
        DataError: one of them is missing, or the mask has another size or type.
    """
    shift = name.rpartition(".")[2]
    for field in ("image", "mask"):
        if field not in sample.fields:
            raise DataError(
                f"shift {shift!r} needs the field {field!r}, which the sample lacks (it has "
                f"{', '.join(sorted(sample.fields)) or 'none'}); pictures of cut-out objects have "
                f"image and mask: {CUT_OUTS}"
            )
    image, mask = sample.fields["image"], sample.fields["mask"]
    if mask.dtype != np.uint8 or mask.shape != image.shape[:2]:
        raise DataError(
            f"shift {shift!r}: the mask is {mask.dtype} {mask.shape}; expected uint8 {image.shape[:2]}, "
            "as high and wide as the image, 0 background to 255 object"
        )
    return image, mask


def box(name: str, mask: NDArray[np.uint8]) -> Box:
    """Return the box around all that is visible of an object.

    Raises:
        DataError: the mask shows no object.
    """
    seen = mask >= VISIBLE
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not rows.size:
        raise DataError(
            f"shift {name.rpartition('.')[2]!r}: the mask shows no object (its largest value is "
            f"{int(mask.max())}; 0 is background, 255 object)"
        )
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def rate(mask: NDArray[np.uint8]) -> float:
    """Return the share of the picture that the object takes, 0 to 1; half transparent counts half."""
    return int(mask.sum(dtype=np.int64)) / (255 * mask.size)


def behind(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image without its object: filled from what is around it.

    Known is where the mask is lowest (0, as a rule). A background of one colour stays of that colour.
    """
    known = mask == mask.min()
    seen = image[known]
    if (seen == seen[0]).all():
        return np.broadcast_to(seen[0], image.shape).copy()
    layers = image.reshape(*image.shape[:2], -1)
    return _filled(layers, known).reshape(image.shape)


def layer(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], background: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return the object alone, times its alpha, with the mask as last channel: uint8 (h, w, 2 or 4)."""
    veil = over255((255 - like(mask, image)).astype(np.uint16) * background)
    alone = np.maximum(image.astype(np.int16) - veil, 0).astype(np.uint8)
    return np.concatenate((alone.reshape(*mask.shape, -1), mask[..., None]), axis=2)


def pasted(
    background: NDArray[np.uint8], objects: NDArray[np.uint8], top: int, left: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (image, mask) of an object laid over a background.

    Args:
        background: uint8 (h, w) or (h, w, 3).
        objects: a `layer`, or a part of one, no larger than the background.
        top: row of its first row in the background.
        left: column likewise.
    """
    image, mask = background.copy(), np.zeros(background.shape[:2], dtype=np.uint8)
    height, width = objects.shape[:2]
    place = slice(top, top + height), slice(left, left + width)
    mask[place] = objects[..., -1]
    under = image[place].reshape(height, width, -1)
    veil = over255((255 - objects[..., -1:]).astype(np.uint16) * under)
    shown = np.minimum(veil + objects[..., :-1], 255).astype(np.uint8)
    image[place] = shown.reshape(image[place].shape)
    return image, mask


def like(mask: NDArray[np.uint8], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask with an axis for the channels, where the image has one."""
    return mask[..., None] if image.ndim == 3 else mask


def over255(product: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return a product of two bytes divided by 255, rounded: exact, without a division."""
    halved = product + np.uint16(128)
    return (halved + (halved >> 8)) >> 8


def changed(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], difference: NDArray[np.int32], share: int
) -> NDArray[np.uint8]:
    """Return the image with something added to its background only.

    Args:
        image: uint8 (h, w) or (h, w, 3).
        mask: uint8 (h, w).
        difference: int32 like the image: what is added where the mask is 0.
        share: times this many 256ths; at most 4,096.
    """
    weight = (255 - like(mask, image)).astype(np.int32) * share
    added = (weight * difference + 255 * 128) // (255 * 256)
    return np.clip(added + image, 0, 255).astype(np.uint8)


def _filled(values: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return (h, w, c) where what is not known comes from ever coarser means of what is."""
    if known.all():
        return values
    coarse = _upsampled(_filled(*_halved(values, known)))
    height, width = known.shape
    return np.where(known[..., None], values, coarse[:height, :width])


def _halved(
    values: NDArray[np.uint8], known: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the mean of what is known in each 2 x 2 pixels, and where anything is."""
    height, width = known.shape
    even = ((0, height % 2), (0, width % 2))
    weights = np.pad(known, even).astype(np.uint16)
    weighed = np.pad(values, (*even, (0, 0))) * weights[..., None]
    count, total = _quads(weights), _quads(weighed)
    mean = (total + (count >> 1)[..., None]) // np.maximum(count, 1)[..., None]
    return mean.astype(np.uint8), count > 0


def _quads(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]


def _upsampled(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return twice the pixels per side, bilinear in 16ths."""
    fine = _doubled(_doubled(values.astype(np.uint16)).swapaxes(0, 1)).swapaxes(0, 1)
    return ((fine + 8) >> 4).astype(np.uint8)


def _doubled(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return twice the rows, times 4: each is three parts its own, one part its neighbour."""
    doubled = np.repeat(3 * values, 2, axis=0)
    doubled[2::2] += values[:-1]
    doubled[1:-1:2] += values[1:]
    doubled[0] += values[0]
    doubled[-1] += values[-1]
    return doubled
