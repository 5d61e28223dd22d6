"""MNIST: 28x28 grey handwritten digits, 60,000 to train and 10,000 to test.

Source: LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791. As published; no image occurs
twice. Clean partner of `opencv_digits` and `digits`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _idx

TASK = "classification"
CLASSES = tuple("0123456789")
NATIVE = ("train", "test")
SOURCES = ("mnist",)
LICENCE = "CC BY-SA 3.0 (as MNIST is commonly given)"
CITATION = (
    "LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, "
    "Proceedings of the IEEE 86(11), 1998, doi:10.1109/5.726791"
)
REDISTRIBUTE = True


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (28, 28), `label` 0 to 9."""
    yield from _idx.samples("mnist", split, sources["mnist"])
