"""Images to the input of a network: channels, size, layout; one call per batch where shapes agree."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.data import resizing

Pixels = npt.NDArray[np.uint8]
Interpolation = Annotated[
    Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"],
    Field(description="how Pillow computes the pixels of a resized image"),
]
LUMA = (19595, 38470, 7471)
"""Pillow's integer weights of R, G, B for grey (ITU-R 601-2), in units of 1/65536."""


def to_grey(image: Pixels) -> Pixels:
    """(..., h, w) grey of (..., h, w, 3) colour, equal to Pillow's `convert("L")`."""
    weighted = image.astype(np.uint32) @ np.array(LUMA, np.uint32)
    return ((weighted + 0x8000) >> 16).astype(np.uint8)


def to_colour(image: Pixels) -> Pixels:
    """(h, w, 3) of a grey (h, w) or colour image; grey is repeated."""
    return np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image


def resize(image: Pixels, height: int, width: int, kind: str = "bicubic") -> Pixels:
    """The image at another size, by Pillow (antialiased when shrinking).

    Args:
        image: uint8 (h, w) or (h, w, 3).
        height: of the result, in pixels.
        width: of the result, in pixels.
        kind: one of `Interpolation`.
    """
    if image.shape[:2] == (height, width):
        return image
    method = Image.Resampling[kind.upper()]
    return np.asarray(resizing.resize(Image.fromarray(image), width, height, method))


def centre_crop(image: Pixels, size: int) -> Pixels:
    """The middle square; the image is at least `size` in both directions."""
    top = round((image.shape[0] - size) / 2)
    left = round((image.shape[1] - size) / 2)
    return image[top : top + size, left : left + size]


def resize_and_crop(image: Pixels, shorter: int, size: int, kind: str = "bicubic") -> Pixels:
    """Resize so that the shorter side is `shorter`, then cut the middle square of `size`."""
    height, width = image.shape[:2]
    if height <= width:
        resized = resize(image, shorter, int(shorter * width / height), kind)
    else:
        resized = resize(image, int(shorter * height / width), shorter, kind)
    return centre_crop(resized, size)


def grey_batch(samples: Sequence[Sample], size: int) -> Pixels:
    """Uint8 (n, 1, size, size): grey, resized only where the size differs."""
    return _batch(samples, lambda image: resize(_as_grey(image), size, size))[:, None]


def colour_batch(samples: Sequence[Sample], shape: Callable[[Pixels], Pixels]) -> Pixels:
    """Uint8 (n, 3, h, w) of images that `shape` brought to one size (h, w, 3).

    The memory keeps channels last, the layout in which convolutions are fastest on CPUs.
    """
    return _batch(samples, lambda image: shape(to_colour(image))).transpose(0, 3, 1, 2)


def _as_grey(image: Pixels) -> Pixels:
    return image if image.ndim == 2 else to_grey(image)


def _batch(samples: Sequence[Sample], shape: Callable[[Pixels], Pixels]) -> Pixels:
    return np.stack([shape(sample.fields["image"]) for sample in samples])
