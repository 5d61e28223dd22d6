"""Rewards of So-Fake-R1's answers: its format, its class, its place; helper of the toy that GRPO is tested on.

    r = format + class + location

`format` is 1 for a text that parses, `class` 1 for the right label, `location` the IoU of the answer's box with the box
around the true mask where an image is tampered with and called so, and 0 otherwise.

Source: So-Fake, arXiv:2505.18660; the three parts are named there, their weights and whether boxes or masks are
compared were not found (reconstructed: 1 each, boxes).
"""

from typing import NamedTuple

from shiftbench.systems.so_fake.datasets._forging import TAMPERED
from shiftbench.systems.so_fake.models import _answers
from shiftbench.systems.so_fake.models._answers import Answer, Box


class Reward(NamedTuple):
    """The parts of a reward, each 0 to 1."""

    form: float
    label: float
    location: float

    @property
    def total(self) -> float:
        """Their sum."""
        return self.form + self.label + self.location


def reward(text: str, truth: Answer) -> Reward:
    """Return the reward of a text for an image whose label and, if tampered, box are known."""
    found = _answers.parse(text)
    if found is None:
        return Reward(0.0, 0.0, 0.0)
    right = found.label == truth.label
    located = right and truth.label == TAMPERED and found.box and truth.box
    return Reward(1.0, float(right), overlap(found.box, truth.box) if located else 0.0)


def most(truth: Answer) -> float:
    """Return the largest reward that an answer can have."""
    return 3.0 if truth.label == TAMPERED else 2.0


def overlap(one: Box | None, other: Box | None) -> float:
    """Return the IoU of two boxes x0, y0, x1, y1.

    Example:
        >>> overlap((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    if one is None or other is None:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    whole = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - both
    return both / whole
