"""Identity: the clean data, which every shifted number is relative to.

It takes the whole sample of any task and has one severity, 0.
"""

from typing import TypeVar

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels

FIELD = None
LEVELS: dict[int, float] = {}
RANGE = (0.0, 0.0)

Value = TypeVar("Value")


def apply(value: Value, severity: float, rng: RandomStream) -> Value:
    """`value` itself; `rng` is not used."""
    _levels.check(__name__, severity, RANGE)
    return value
