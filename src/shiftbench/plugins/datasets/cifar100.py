"""CIFAR-100: 32x32 colour photos of a hundred kinds of objects (the fine labels), 50,000 + 10,000.

Source: Krizhevsky 2009. Images that occur twice are kept once, the test set first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _cifar

TASK = "classification"
CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
    camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup
    dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower
    leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
    otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray
    road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
    wardrobe whale willow_tree wolf woman worm
    """.split()
)
NATIVE = ("train", "test")
SOURCES = ("cifar100",)
LICENCE = _cifar.LICENCE
CITATION = _cifar.CITATION
REDISTRIBUTE = False
MEMBERS: dict[str, tuple[str, ...]] = {"train": ("cifar-100-python/train",), "test": ("cifar-100-python/test",)}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (32, 32, 3), `label` 0 to 99."""
    archive = sources["cifar100"] / "cifar-100-python.tar.gz"
    yield from _cifar.samples("cifar100", split, archive, MEMBERS, b"fine_labels")
