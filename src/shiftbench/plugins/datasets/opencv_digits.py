"""OpenCV's 5,000 handwritten digits: a domain shift of MNIST (other hands, another scanner).

Source: samples/data/digits.png of OpenCV, a grid of 50 x 100 tiles of 20x20 pixels, five rows a digit.
We add a margin of four black pixels: MNIST's digits too are fitted into 20x20 and centred in 28x28, so
that a network for MNIST can read these. No tile occurs twice. A fifth, 1,000 or so, is the test split.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets._arrays import image_samples
from shiftbench.plugins.datasets._pictures import read_array

TITLE = "OpenCV digits"
TASK = "classification"
CLASSES = tuple("0123456789")
NATIVE = ("all",)
SOURCES = ("opencv_digits",)
LICENCE = "Apache-2.0"
CITATION = "OpenCV samples/data/digits.png; Bradski, The OpenCV Library, Dr. Dobb's Journal of Software Tools, 2000"
REDISTRIBUTE = True


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all tiles, row by row: `image` uint8 (28, 28), `label` 0 to 9."""
    grid = read_array(sources["opencv_digits"] / "digits.png", "opencv_digits")
    tiles = grid.reshape(50, 20, 100, 20).swapaxes(1, 2).reshape(5000, 20, 20)
    images = np.pad(tiles, ((0, 0), (4, 4), (4, 4)))
    yield from image_samples("opencv_digits/all", images, np.arange(5000) // 500, range(5000))
