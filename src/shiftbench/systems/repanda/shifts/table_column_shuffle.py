"""Column shuffle: columns change places; no cell, name or claim changes.

Of the columns that are touched, and the last one, each goes to the next one's place.

Source: RePanda, arXiv 2503.11921 (a query names its columns, so that their order does not matter to it). Differs: ours,
no table of the paper measures it.

Takes one 16-bit word, then one raw word per column but one.
"""

from collections.abc import Mapping
from typing import Any

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts
from shiftbench.systems.repanda.shifts import _tables

FIELD = "table"
TASK = "table_question"
LEVELS = _tables.ALL
RANGE = _levels.RANGE


def apply(value: Mapping[str, Any], severity: float, rng: RandomStream) -> Mapping[str, Any]:
    """A table with its columns in another order.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    count = len(value["header"])
    moved = _texts.touched(share, count - 1, rng)
    if not moved:
        return value
    moving = [*moved, count - 1]
    order = list(range(count))
    for place, column in zip(moving, [*moving[1:], moving[0]], strict=True):
        order[place] = column
    rows = [[row[column] for column in order] for row in value["rows"]]
    header = [value["header"][column] for column in order]
    return {**value, "header": header, "rows": rows}
