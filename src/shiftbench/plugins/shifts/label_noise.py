"""Label noise: a share of the labels is replaced by another class, drawn with equal probability.

Source: symmetric noise as in Patrini et al., "Making Deep Neural Networks Robust to Label Noise: a Loss Correction
Approach", CVPR 2017, section 6 (https://arxiv.org/abs/1609.03683). The severity is the share itself, 0 to 1, exact in
the mean: a label is flipped with that probability, always to another class. A higher share keeps the flips of a lower
one, with the classes that they fell on, and adds to them.

For data to learn from (`train_on: label_noise/0.4` of a trainer), not to be tested on. Takes one 16-bit word
and one 32-bit word.
"""

from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = "label"
LEVELS: dict[int, float] = {}
RANGE = (0.0, 1.0)


def apply(
    value: int,
    severity: float,
    rng: RandomStream,
    classes: Annotated[int, Field(ge=2, description="number of classes of the dataset")] = 10,
) -> int:
    """The label, or another one."""
    _levels.check(__name__, severity, RANGE)
    if classes < 2 or not 0 <= value < classes:
        raise RangeError(f"shift 'label_noise': label {value} is none of {classes} classes; set its option `classes`")
    flipped = float(rng.uniform()) < severity
    further = 1 + int(rng.integers(0, classes - 1))
    return (value + further) % classes if flipped else value
