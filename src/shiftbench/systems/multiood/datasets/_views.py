"""Three modalities of one grey image, in integers: appearance, shape and profile; helper of the datasets of views.

Appearance is the image averaged over 2 x 2 pixels and brought back to its size, shape the size of Sobel's gradient
(edges repeated, divided by 4, 255 at most), profile the means of its rows and of its columns.

Source: none; a small stand-in for frames, optical flow and sound. All three are functions of the same pixels.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.sample import Sample

Pixels = NDArray[np.uint8]
TOGETHER = 512
"""Images whose views are made at once."""


def make_views(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield samples with `rgb`, `shape`, `profile` in the place of their image, uint8 (h, w), all of one even size."""
    rest = iter(samples)
    while some := list(itertools.islice(rest, TOGETHER)):
        images = np.stack([sample.fields["image"] for sample in some])
        views = appearance(images), shape(images), profile(images)
        for sample, rgb, edges, sums in zip(some, *views, strict=True):
            others = {name: value for name, value in sample.fields.items() if name != "image"}
            yield Sample(sample.key, {**others, "rgb": rgb, "shape": edges, "profile": sums})


def appearance(images: Pixels) -> Pixels:
    """Means over 2 x 2 pixels, rounded, each repeated 2 x 2, uint8 (n, h, w).

    Example:
        >>> appearance(np.array([[[0, 2], [4, 5]]], np.uint8)).tolist()
        [[[3, 3], [3, 3]]]
    """
    wide = images.astype(np.uint16)
    sums = wide[:, ::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, ::2] + wide[:, 1::2, 1::2]
    means: Pixels = ((sums + 2) // 4).astype(np.uint8)
    return means.repeat(2, axis=1).repeat(2, axis=2)


def shape(images: Pixels) -> Pixels:
    """The size of the gradient, uint8 (n, h, w): a step from 0 to 255 is 255.

    Example:
        >>> shape(np.array([[[0, 0, 8, 8]] * 4], np.uint8))[0, 0].tolist()
        [0, 8, 8, 0]
    """
    padded = np.pad(images.astype(np.int16), ((0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = padded[:, :, 2:] - padded[:, :, :-2], padded[:, 2:] - padded[:, :-2]
    across = across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]
    down = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    squares = across.astype(np.float32) ** 2 + down.astype(np.float32) ** 2  # whole, below 2^24
    edges: Pixels = np.minimum(np.sqrt(squares) / 4, 255).astype(np.uint8)
    return edges


def profile(images: Pixels) -> Pixels:
    """The means of rows, then of columns, rounded down, uint8 (n, h + w)."""
    _, height, width = images.shape
    rows, columns = (images.sum(axis=axis, dtype=np.int32) for axis in (2, 1))
    return np.concatenate([rows // width, columns // height], axis=1).astype(np.uint8)
