"""Fashion-MNIST in four super-classes, three of them of several kinds: for methods that look for modes of a class.

| class | labels of Fashion-MNIST |
| --- | --- |
| tops | t_shirt, pullover, coat, shirt |
| trousers_and_dresses | trouser, dress |
| shoes | sandal, sneaker, ankle_boot |
| bags | bag |

Classes are of 4, 2, 3 and 1 tenths of the samples. Keys are those of `fashion_mnist`, so that an image has one key in
both.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; the grouping is ours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import fashion_mnist

TASK = fashion_mnist.TASK
NATIVE = fashion_mnist.NATIVE
SOURCES = fashion_mnist.SOURCES
LICENCE = fashion_mnist.LICENCE
CITATION = fashion_mnist.CITATION
REDISTRIBUTE = fashion_mnist.REDISTRIBUTE
PART_OF = "fashion_mnist"
MEMBERS = {
    "tops": ("t_shirt", "pullover", "coat", "shirt"),
    "trousers_and_dresses": ("trouser", "dress"),
    "shoes": ("sandal", "sneaker", "ankle_boot"),
    "bags": ("bag",),
}
CLASSES = tuple(MEMBERS)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (28, 28), `label` 0 to 3."""
    labels = {
        fashion_mnist.CLASSES.index(member): number
        for number, members in enumerate(MEMBERS.values())
        for member in members
    }
    for sample in fashion_mnist.samples(split, sources, {}):
        yield sample.with_field("label", labels[sample.fields["label"]])
