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
    """The classes of a sample's options."""
    return [name for name, _ in sample.fields["meta"]["options"]]


def words(sample: Sample) -> list[str]:
    """Names of a sample's options."""
    return [word for _, word in sample.fields["meta"]["options"]]


def logits(answers: Sequence[dict[str, float]], classes: Sequence[str]) -> Floats:
    """Logits float32 (n, C) of answers: class -> its logit; other classes have FLOOR.

    Raises:
        ModelError: an answer is none of the classes.
    """
    index = {name: number for number, name in enumerate(classes)}
    values = np.full((len(answers), len(classes)), FLOOR, np.float32)
    for row, answer in zip(values, answers, strict=True):
        for name, value in answer.items():
            if name not in index:
                raise ModelError(f"an answer is {name!r}, which is no class; {suggest(name, index)}")
            row[index[name]] = value
    return values
