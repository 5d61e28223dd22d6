"""CIFAR-10: 32x32 colour photos of ten kinds of objects, 50,000 to train and 10,000 to test.

Source: Krizhevsky 2009. Images that occur twice are kept once, the test set first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _cifar

TASK = "classification"
CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())
NATIVE = ("train", "test")
SOURCES = ("cifar10",)
LICENCE = _cifar.LICENCE
CITATION = _cifar.CITATION
REDISTRIBUTE = False
MEMBERS = {
    "train": tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
    "test": ("cifar-10-batches-py/test_batch",),
}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (32, 32, 3), `label` 0 to 9."""
    archive = sources["cifar10"] / "cifar-10-python.tar.gz"
    yield from _cifar.samples("cifar10", split, archive, MEMBERS, b"labels")
