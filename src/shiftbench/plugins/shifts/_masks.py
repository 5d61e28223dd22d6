"""Objects and what is behind them: helpers of the shifts that change one attribute of an object.

An image is taken apart as `image = layer + (255 - mask) * background / 255`: `layer` is the object times
its alpha, `background` what is where no object is, continued behind it. All in integers, rounded; where the
mask is 255 the background has no part, so that the object's pixels stay as they are, to the bit.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample

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
    """The image, uint8 (h, w) or (h, w, 3), and the mask, uint8 (h, w), of a sample.

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
                f"no field {field!r}, which the shift {shift!r} needs; the sample has "
                f"{', '.join(sorted(sample.fields)) or 'none'}. Data sets of cut-out objects have "
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
    """The box around all that is visible of an object.

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
    """The share of the image that the object takes, 0 to 1; half transparent counts half."""
    return int(mask.sum(dtype=np.int64)) / (255 * mask.size)


def behind(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image without its object: filled from what is around it.

    Known is where the mask is lowest (0, as a rule). A background of one colour stays of that colour.
    """
    known = np.ascontiguousarray(mask == mask.min())
    layers = np.ascontiguousarray(image).reshape(*mask.shape, -1)
    first = layers[np.unravel_index(int(known.argmax()), known.shape)]
    filled = np.broadcast_to(first, layers.shape).copy()
    if not _uniform(layers, known, first):
        filled = _filled(layers, known)
    return filled.reshape(image.shape)


def layer(image: NDArray[np.uint8], mask: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The object alone, times its alpha, with the mask as last channel: uint8 (h, w, 2 or 4).

    Where the background behind a soft edge was guessed wrong, no more than alpha allows is the object's.
    """
    alpha = like(mask, image)
    veil = over255((255 - alpha).astype(np.uint16) * background)
    alone = np.clip(image.astype(np.int16) - veil, 0, alpha).astype(np.uint8)
    return np.concatenate((alone.reshape(*mask.shape, -1), mask[..., None]), axis=2)


def pasted(
    background: NDArray[np.uint8], objects: NDArray[np.uint8], top: int, left: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(image, mask) of an object laid over a background.

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
    """The mask with an axis for the channels, where the image has one."""
    return mask[..., None] if image.ndim == 3 else mask


def over255(product: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A product of two bytes divided by 255, rounded: exact, without a division."""
    eight = np.uint16(8)
    halved = product + np.uint16(128)
    result: NDArray[np.uint16] = (halved + (halved >> eight)) >> eight
    return result


def changed(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], difference: NDArray[np.int16], share: int
) -> NDArray[np.uint8]:
    """The image with something added to its background only.

    Args:
        image: uint8 (h, w) or (h, w, 3).
        mask: uint8 (h, w).
        difference: int16 like the image, -255 to 255: what is added where the mask is 0.
        share: times this many 256ths; -8,192 to 8,192.
    """
    result = np.empty(image.shape, dtype=np.uint8)
    layers = np.ascontiguousarray(image).reshape(*mask.shape, -1)
    added = np.ascontiguousarray(difference).reshape(layers.shape)
    _add(layers, np.ascontiguousarray(mask), added, share, result.reshape(layers.shape))
    return result


@compiled
def _add(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    difference: NDArray[np.int16],
    share: int,
    result: NDArray[np.uint8],
) -> None:
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            weight = np.int32((255 - mask[row, column]) * share)
            for channel in range(image.shape[2]):
                added = weight * np.int32(difference[row, column, channel])
                whole = np.int32((added + np.int32(32640)) // np.int32(65280))
                total = np.int32(image[row, column, channel]) + whole
                result[row, column, channel] = min(max(total, np.int32(0)), np.int32(255))


@compiled
def _uniform(values: NDArray[np.uint8], known: NDArray[np.bool_], first: NDArray[np.uint8]) -> bool:
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            if known[row, column]:
                for channel in range(values.shape[2]):
                    if values[row, column, channel] != first[channel]:
                        return False
    return True


def _filled(values: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, w, c) where what is not known comes from ever coarser means of what is."""
    if known.all():
        return values
    height, width = (-(-side // 2) for side in known.shape)
    total = np.zeros((height, width, values.shape[2]), dtype=np.int32)
    count = np.zeros((height, width, 1), dtype=np.int32)
    _gather(values, known, total, count)
    means = ((total + (count >> 1)) // np.maximum(count, 1)).astype(np.uint8)
    result = values.copy()
    _refine(_filled(means, count[..., 0] > 0), known, result)
    return result


@compiled
def _gather(
    values: NDArray[np.uint8], known: NDArray[np.bool_], total: NDArray[np.int32], count: NDArray[np.int32]
) -> None:
    """Add up what is known in each 2 x 2 pixels, and how many are."""
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            if known[row, column]:
                count[row >> 1, column >> 1, 0] += 1
                for channel in range(values.shape[2]):
                    total[row >> 1, column >> 1, channel] += values[row, column, channel]


@compiled
def _refine(coarse: NDArray[np.uint8], known: NDArray[np.bool_], values: NDArray[np.uint8]) -> None:
    """Write what is not known from half the pixels per side, bilinear: 9, 3, 3 and 1 sixteenths."""
    last_row, last_column = coarse.shape[0] - 1, coarse.shape[1] - 1
    for row in range(values.shape[0]):
        near_row = row >> 1
        far_row = min(max(near_row + 2 * (row & 1) - 1, 0), last_row)
        for column in range(values.shape[1]):
            if known[row, column]:
                continue
            near = column >> 1
            far = min(max(near + 2 * (column & 1) - 1, 0), last_column)
            for channel in range(values.shape[2]):
                total = 9 * np.int32(coarse[near_row, near, channel])
                total += 3 * np.int32(coarse[near_row, far, channel])
                total += 3 * np.int32(coarse[far_row, near, channel])
                total += np.int32(coarse[far_row, far, channel])
                values[row, column, channel] = (total + 8) >> 4
