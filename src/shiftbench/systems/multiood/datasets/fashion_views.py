"""Some classes of Fashion-MNIST, each image seen as appearance, shape and profile; and the classes held out.

    datasets:
      known: {use: fashion_views, held_out: 4, split: 1}
      held: {use: fashion_views, held_out: 4, split: 1, part: out}

The parts are those of `fashion_mnist_classes`, the modalities those of `_views.py`: deterministic views of the same
pixels, which disagree less than frames, motion and sound.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; the views are ours, after Dong et al. 2024, arXiv:2405.17419.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import fashion_mnist_classes
from shiftbench.systems.multiood.datasets import _views

TASK = "modalities"
NATIVE = fashion_mnist_classes.NATIVE
SOURCES = fashion_mnist_classes.SOURCES
LICENCE = fashion_mnist_classes.LICENCE
CITATION = fashion_mnist_classes.CITATION
REDISTRIBUTE = fashion_mnist_classes.REDISTRIBUTE
PART_OF = fashion_mnist_classes.PART_OF
classes = fashion_mnist_classes.classes


class Options(fashion_mnist_classes.Options):
    held_out: int = Field(4, ge=1, description="number of held-out classes")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test` of the part: `rgb` and `shape` uint8 (28, 28), `profile` uint8 (56,), `label`."""
    yield from _views.make_views(fashion_mnist_classes.samples(split, sources, params))
