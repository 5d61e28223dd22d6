"""Sums of handwritten digits: n of MNIST's, at half their size, on a canvas of 3 x 3 cells; the sum modulo 10.

The complexity is representational: n, the objects that count; the canvas is as large whatever n is, and other cells
are empty. `train` and `val` have n of 1 to `threshold`, `test` 1 to `most`, each as often; `meta.group` is n. No digit
is in two splits: train takes MNIST's first 50,000 training images, val the last 10,000, test its test images.

Source: ours, representational complexity OoD of arXiv 2510.06274 with the number of objects for K(x); digits are MNIST
(LeCun et al. 1998, doi:10.1109/5.726791), each pixel the rounded mean of four.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.plugins.datasets._idx import FILES

TASK = "classification"
CLASSES = tuple("0123456789")
NATIVE = ("train", "val", "test")
SOURCES = ("mnist",)
LICENCE = mnist.LICENCE
CITATION = mnist.CITATION
REDISTRIBUTE = True
SIDE, CELLS = 14, 9
PARTS = {"train": ("train", slice(0, 50_000)), "val": ("train", slice(50_000, None)), "test": ("test", slice(None))}
"""Of each split MNIST's file and the images in it."""


class Options(declare.Options):
    threshold: int = Field(3, ge=1, le=9, description="largest number of digits in training")
    most: int = Field(8, ge=1, le=9, description="largest number of digits in the test")
    count: int = Field(4000, ge=1, description="training pictures; val has a tenth of them")
    test_count: int = Field(300, ge=1, description="test pictures of each number of digits")
    seed: fields.Seed = 0


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the pictures of a split: `count` of train, a tenth of it of val, `test_count` of each n of test.

    Raises:
        ParamsError: complexities out of range.
    """
    if not 1 <= params["threshold"] <= params["most"] <= CELLS:
        raise ParamsError(
            f"digit_sum: threshold {params['threshold']}, most {params['most']}; expected 1 <= threshold <= most <= 9"
        )
    file, part = PARTS[split]
    images, labels = (
        read_idx(sources["mnist"] / f"{FILES[file]}-{kind}")[part]
        for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    )
    most = params["most" if split == "test" else "threshold"]
    every = {"train": params["count"], "val": params["count"] // 10, "test": most * params["test_count"]}
    for number in range(every[split]):
        key = f"digit_sum/{split}/{number:06d}"
        count = 1 + number % most
        rng = RandomStream(params["seed"], "digit_sum", split, key)
        indices = rng.integers(0, len(images), count)
        cells = rng.choice(CELLS, count)
        fields = {
            "image": draw(images[indices], cells),
            "label": int(labels[indices].sum(dtype=np.int64) % 10),
            "meta": {"group": str(count)},
        }
        yield Sample(key, fields)


def draw(digits: NDArray[np.uint8], cells: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The canvas uint8 (42, 42) with digits (n, 28, 28) in the cells (n,), 0 to 8 by rows."""
    fours = digits.astype(np.uint16).reshape(len(digits), SIDE, 2, SIDE, 2)
    small = ((fours.sum(axis=(2, 4), dtype=np.uint16) + 2) // 4).astype(np.uint8)
    canvas: NDArray[np.uint8] = np.zeros((3, SIDE, 3, SIDE), np.uint8)
    for digit, cell in zip(small, cells, strict=True):
        canvas[cell // 3, :, cell % 3] = digit
    return canvas.reshape(3 * SIDE, 3 * SIDE)
