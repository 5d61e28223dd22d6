"""Fashion-MNIST: 28x28 grey images of ten kinds of clothing, 60,000 to train and 10,000 to test.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747. As published; no image occurs twice.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _idx

TITLE = "Fashion-MNIST"
TASK = "classification"
CLASSES = ("t_shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle_boot")
NATIVE = ("train", "test")
SOURCES = ("fashion_mnist",)
LICENCE = "MIT"
CITATION = (
    "Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine "
    "Learning Algorithms, 2017, arXiv:1708.07747"
)
REDISTRIBUTE = True


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (28, 28), `label` 0 to 9."""
    yield from _idx.samples("fashion_mnist", split, sources["fashion_mnist"])
