"""The distribution of picture tasks: tell two kinds of clothing apart, all pictures turned and paled alike.

A task's identifier is (angle in radians, contrast, then of each of ten classes whether it is one of the pair: 0 or 1).
Its pictures are drawn with it: distinct ones, as many of each class, and which class has the label 1. A picture of 28 x
28 is turned to the left about its middle (nearest pixel, black outside), halved in size (means of 2 x 2, rounded), and
its distance from the grey level 128 is multiplied by the contrast. Integers from the pixel on, so that pictures are the
same on every CPU.

Pictures of train, val and test are apart: train and val are the first nine tenths of Fashion-MNIST's training file (of
60,000) and the last one, test is its test file. Of each part every class has as many pictures as the rarest one.

Source: the specification of MPTS' image analogue (ours, no part of the paper); pictures of Xiao, Rasul and Vollgraf
2017, arXiv:1708.07747.
"""

import itertools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.plugins.shifts import _geometry

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Pixels = NDArray[np.uint8]

NAMES = ("angle", "contrast", *fashion_mnist.CLASSES)
"""Of the numbers of an identifier."""
BOUNDS = ((0.0, math.pi), (0.1, 1.0))
"""Of the angle and the contrast where tasks are drawn."""
SIDE = 14
"""Of a task's pictures."""
GREY = 128
"""The level that a lower contrast draws all others to."""
PARTS = {"train": ("train", 0, 9), "val": ("train", 9, 10), "test": ("t10k", 0, 10)}
"""Of each split the file, and from which to which tenth of it."""
_WIDE = 2 * SIDE
_PAIRS = np.array(list(itertools.combinations(range(len(fashion_mnist.CLASSES)), 2)))


class Chosen(NamedTuple):
    """The pictures of tasks.

    Attributes:
        places: which of its class' pictures each is, int64 (*shape, 2, k).
        first: which of the pair, in the order of classes, has the label 0, int64 (*shape,).
    """

    places: Integers
    first: Integers


def sample(shape: tuple[int, ...], rng: RandomStream) -> Floats:
    """Identifiers of tasks, uniform in angle, contrast and pair, float64 (*shape, 12)."""
    low, high = np.array(BOUNDS).T
    randoms = rng.uniform((*shape, len(BOUNDS))).astype(np.float64)
    pairs = _PAIRS[rng.integers(0, len(_PAIRS), shape)]
    members = (pairs[..., None] == np.arange(len(fashion_mnist.CLASSES))).any(-2)
    return np.concatenate([low + randoms * (high - low), members.astype(np.float64)], axis=-1)


def choose(shape: tuple[int, ...], each: int, size: int, rng: RandomStream) -> Chosen:
    """`each` distinct pictures of each class for tasks of a shape.

    A class' `size` pictures are a ring that is cut into `each` parts at a drawn place, and one is drawn of each part.
    """
    offsets = rng.integers(0, size, (*shape, 2, 1))
    cuts = np.arange(each + 1) * size // each
    steps = rng.integers(0, 1 << 16, (*shape, 2, each)) * np.diff(cuts) >> 16
    return Chosen((offsets + cuts[:-1] + steps) % size, rng.integers(0, 2, shape))


def pool(split: str, folder: Path) -> Pixels:
    """Pictures of a split by class, uint8 (10, held, 785): 784 pixels, and a black one for what is outside.

    Args:
        split: `train`, `val` or `test`.
        folder: of the source `fashion_mnist`.
    """
    file, *tenths = PARTS[split]
    images = read_idx(folder / f"{file}-images-idx3-ubyte")
    labels = read_idx(folder / f"{file}-labels-idx1-ubyte")
    part = slice(*(len(images) * tenth // 10 for tenth in tenths))
    images, labels = images[part].reshape(-1, _WIDE**2), labels[part]
    classes = range(len(fashion_mnist.CLASSES))
    size = int(np.bincount(labels, minlength=len(classes)).min())
    pictures = np.zeros((len(classes), size, _WIDE**2 + 1), np.uint8)
    for label in classes:
        pictures[label, :, :-1] = images[np.flatnonzero(labels == label)[:size]]
    return pictures


def make(identifiers: Floats, chosen: Chosen, pictures: Pixels) -> tuple[Pixels, Pixels]:
    """Pictures of n tasks, uint8 (n, 2 k, 14, 14), and their labels (n, 2 k), which alternate.

    Args:
        identifiers: float64 (n, 12).
        chosen: of the same tasks.
        pictures: from `pool`.
    """
    pairs = np.nonzero(identifiers[:, len(BOUNDS) :])[1].reshape(-1, 2)
    n, _, each = chosen.places.shape
    size, pixels = pictures.shape[1:]
    pictures_at = (pairs[..., None] * size + chosen.places).reshape(n, 2 * each, 1) * pixels
    sources = np.stack([turns(float(angle)) for angle in identifiers[:, 0]])
    turned = pictures.ravel().take(pictures_at + sources[:, None])  # (n, 2 k, 784)
    pale = fade(halve(turned), identifiers[:, 1]).reshape(n, 2, each, SIDE, SIDE)
    ordered = np.where(chosen.first[:, None, None, None, None] == 0, pale, pale[:, ::-1])
    labels = np.broadcast_to(np.array([0, 1], np.uint8), (n, each, 2))
    return (np.ascontiguousarray(ordered.swapaxes(1, 2)).reshape(n, 2 * each, SIDE, SIDE), labels.reshape(n, 2 * each))


def turns(angle: float) -> Integers:
    """Source pixel of each pixel of a turned picture, int64 (784,); 784 is outside."""
    cosine, sine = _geometry.unit(math.degrees(angle))
    way = 2 * np.arange(_WIDE) - (_WIDE - 1)  # twice the way from the middle
    down, across = way[:, None], way[None]
    column = (cosine * across - sine * down + (_WIDE << 16)) >> 17
    row = (sine * across + cosine * down + (_WIDE << 16)) >> 17
    inside = (np.minimum(row, column) >= 0) & (np.maximum(row, column) < _WIDE)
    return np.where(inside, row * _WIDE + column, _WIDE**2).ravel()


def halve(pictures: Pixels) -> NDArray[np.int32]:
    """Means of 2 x 2 pixels of pictures (n, k, 784), rounded, int32 (n, k, 196)."""
    wide = pictures.reshape(*pictures.shape[:2], SIDE, 2, _WIDE).astype(np.int32)
    rows = wide[..., 0, :] + wide[..., 1, :]
    means: NDArray[np.int32] = (rows[..., ::2] + rows[..., 1::2] + 2) >> 2
    return means.reshape(*pictures.shape[:2], -1)


def fade(pictures: NDArray[np.int32], contrasts: Floats) -> Pixels:
    """Pictures (n, k, p) whose distance from GREY is multiplied by each task's contrast, in 256ths."""
    factors = np.rint(contrasts * 256).astype(np.int32)[:, None, None]
    return (GREY + (((pictures - GREY) * factors + 128) >> 8)).astype(np.uint8)
