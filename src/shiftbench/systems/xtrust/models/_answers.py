"""Answers to items as logits: an item's options among the classes of its dataset, and what is no option.

`meta.options` of a sample are pairs (class, what it is called in the sample's language), in the order in which they
are asked for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.sample import Sample

FLOOR = -1000.0
"""The logit of a class that is no option: its probability is 0."""
Floats = NDArray[np.float32]


def names(sample: Sample) -> list[str]:
    """Return the classes of a sample's options."""
    return [name for name, _ in sample.fields["meta"]["options"]]


def words(sample: Sample) -> list[str]:
    """Return what a sample's options are called."""
    return [word for _, word in sample.fields["meta"]["options"]]


def logits(given: Sequence[dict[str, float]], classes: Sequence[str]) -> Floats:
    """Return logits float32 (n, C) of answers: class -> its logit; other classes have FLOOR.

    Raises:
        ModelError: an answer is none of the classes.
    """
    index = {name: at for at, name in enumerate(classes)}
    found = np.full((len(given), len(classes)), FLOOR, np.float32)
    for row, own in zip(found, given, strict=True):
        for name, value in own.items():
            if name not in index:
                raise ModelError(f"an answer is {name!r}, which is no class; {suggest(name, index)}")
            row[index[name]] = value
    return found
