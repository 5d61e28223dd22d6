"""An object that is moved: cut out, made smaller, and laid over the background without it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import resize_array
from shiftbench.plugins.shifts import _masks


class Parts(NamedTuple):
    """An object of an image.

    Attributes:
        box: where it is.
        layer: what is in the box: the object times its alpha, and its alpha; uint8 (h', w', 2 or 4).
        background: the whole image without it.
    """

    box: _masks.Box
    layer: NDArray[np.uint8]
    background: NDArray[np.uint8]


def find(name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Parts:
    """Cut the object out of an image.

    Raises:
        DataError: the mask shows no object.
    """
    box = _masks.box(name, mask)
    background = _masks.behind(image, mask)
    place = slice(box.top, box.bottom), slice(box.left, box.right)
    return Parts(box, _masks.layer(image[place], mask[place], background[place]), background)


def resized(parts: Parts, factor: float) -> NDArray[np.uint8]:
    """The object's layer made smaller, its area by `factor` squared (as near as whole pixels go)."""
    height, width = parts.layer.shape[:2]
    area = height * width * factor * factor
    narrow = max(1, round(min(height, width) * factor))
    wide = max(1, round(area / narrow))
    size = (narrow, wide) if width < height else (wide, narrow)  # width, height
    colours, alpha = parts.layer[..., :-1], parts.layer[..., -1]
    picture = colours if colours.shape[2] == 3 else colours[..., 0]
    small = [resize_array(part, *size).reshape(size[1], size[0], -1) for part in (picture, alpha)]
    return np.concatenate(small, axis=2)


def shrunk(name: str, parts: Parts, own: float, size: float) -> NDArray[np.uint8]:
    """The object's layer at the share `size` of the image; as it is where that is 0 or larger.

    Args:
        name: the shift's `__name__`, for messages.
        parts: the object.
        own: its share of the image.
        size: share of the image, 0 to 1.

    Raises:
        ParamsError: `size` lies outside 0 to 1.
    """
    if not 0 <= size <= 1:
        shift = name.rpartition(".")[2]
        raise ParamsError(f"{shift}: size is {size:g}; allowed are 0 (as it is) to 1")
    return resized(parts, (size / own) ** 0.5) if 0 < size < own else parts.layer


def placed(sample: Sample, background: NDArray[np.uint8], layer: NDArray[np.uint8], top: int, left: int) -> Sample:
    """The sample with the object at another place: its image and its mask."""
    image, mask = _masks.pasted(background, layer, top, left)
    return sample.with_field("image", image).with_field("mask", mask)


def unchanged(sample: Sample) -> Sample:
    """The sample with copies of image and mask."""
    image, mask = (np.ascontiguousarray(sample.fields[name]).copy() for name in ("image", "mask"))
    return sample.with_field("image", image).with_field("mask", mask)
