"""MNIST, each digit seen as appearance, shape and profile: out of distribution and far.

Source: LeCun et al. 1998, doi:10.1109/5.726791; the views are those of `_views.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import mnist
from shiftbench.systems.multiood.datasets import _views

TASK = "modalities"
CLASSES = mnist.CLASSES
NATIVE = mnist.NATIVE
SOURCES = mnist.SOURCES
LICENCE = mnist.LICENCE
CITATION = mnist.CITATION
REDISTRIBUTE = mnist.REDISTRIBUTE
PART_OF = "mnist"


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `rgb` and `shape` uint8 (28, 28), `profile` uint8 (56,), `label` 0 to 9."""
    yield from _views.make_views(mnist.samples(split, sources, {}))
