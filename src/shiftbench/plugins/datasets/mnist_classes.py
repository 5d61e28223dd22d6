"""Some digits of MNIST, and those held out: near-OOD data from one source.

As `fashion_mnist_classes`. Keys are those of
`mnist`, so that an image has one key in all splits and parts.

Source: LeCun, Bottou, Bengio and Haffner 1998, doi:10.1109/5.726791; splits by class as in Neal et al. 2018, "Open Set
Learning with Counterfactual Images", ECCV, section 4.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _held_out, mnist

TITLE = "MNIST, some digits"
TASK = mnist.TASK
NATIVE = mnist.NATIVE
SOURCES = mnist.SOURCES
LICENCE = mnist.LICENCE
CITATION = mnist.CITATION
REDISTRIBUTE = mnist.REDISTRIBUTE
PART_OF = "mnist"


class Options(_held_out.Options):
    """Which classes are held out."""


def _kept(params: dict[str, Any]) -> list[int]:
    return _held_out.kept(PART_OF, len(mnist.CLASSES), params)


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the part's classes."""
    return tuple(mnist.CLASSES[label] for label in _kept(params))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test` of the part: `image` uint8 (28, 28), `label` 0 to the number of classes - 1."""
    yield from _held_out.relabelled(mnist.samples(split, sources, {}), _kept(params))
