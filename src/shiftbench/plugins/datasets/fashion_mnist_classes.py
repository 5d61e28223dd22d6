"""Some classes of Fashion-MNIST, and those held out: near-OOD data from one source.

    datasets:
      fm8: {use: fashion_mnist_classes}
      fm8_out: {use: fashion_mnist_classes, part: out}

Split 0 holds out the last classes (bags and ankle boots: "FM8"); each split above 0 holds out `held_out` classes
drawn from its number, since a ranking of detectors may depend on which classes are unknown. Both parts have their
native train and test splits; labels count from 0 in the order of Fashion-MNIST. Keys are those of `fashion_mnist`, so
that an image has one key in all splits and parts.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; splits by class as in Neal et al. 2018, "Open Set Learning
with Counterfactual Images", ECCV, section 4. There, the classes are drawn; split 0 is ours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _held_out, fashion_mnist

TITLE = "Fashion-MNIST, some classes"
TASK = fashion_mnist.TASK
NATIVE = fashion_mnist.NATIVE
SOURCES = fashion_mnist.SOURCES
LICENCE = fashion_mnist.LICENCE
CITATION = fashion_mnist.CITATION
REDISTRIBUTE = fashion_mnist.REDISTRIBUTE
PART_OF = "fashion_mnist"


class Options(_held_out.Options):
    """Which classes are held out."""


def kept(params: dict[str, Any]) -> list[int]:
    """The labels in Fashion-MNIST of the classes of a part, ascending."""
    return _held_out.kept(PART_OF, len(fashion_mnist.CLASSES), params)


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the part's classes."""
    return tuple(fashion_mnist.CLASSES[label] for label in kept(params))


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test` of the part: `image` uint8 (28, 28), `label` 0 to the number of classes - 1."""
    yield from _held_out.relabelled(fashion_mnist.samples(split, sources, {}), kept(params))
