"""Number format: columns of numbers are written otherwise, `1200` as `1,200 units`.

In each column of numbers that is touched, commas separate thousands (where they did, they do not any more), and a
unit stands behind each number. By the rule of `data/tables.py` a number with a unit is a
text, which no query compares with a number. What a claim says stays as true as it was.

Source: RePanda, arXiv 2503.11921 (cells are texts, and how they are typed decides verdicts). Differs: ours, no table of
the paper measures it.

Takes one 16-bit word, then one raw word per column of numbers.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.data import tables
from shiftbench.plugins.shifts import _levels, _texts
from shiftbench.systems.repanda.shifts import _tables

FIELD = "table"
TASK = "table_question"
Unit = Annotated[str, Field(description="word behind each number; empty: none")]
LEVELS = _tables.ALL
RANGE = _levels.RANGE


def apply(value: Mapping[str, Any], severity: float, rng: RandomStream, *, unit: Unit = "units") -> Mapping[str, Any]:
    """A table with another number format in some of its columns.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    columns = tables.typed_columns(value)
    places = [position for position, column in enumerate(columns) if column.kind != "text"]
    changed = {
        (row, places[index]): written(value["rows"][row][places[index]], unit)
        for index in _texts.touched(share, len(places), rng)
        for row, cell in enumerate(columns[places[index]].values)
        if cell is not None
    }
    return _tables.with_cells(value, changed)


def written(cell: str, unit: str) -> str:
    """A number as a column writes it that was touched.

    Example:
        >>> written("1200.5", "km"), written("1,200", "")
        ('1,200.5 km', '1200')
    """
    plain = cell.strip()
    integer, point, decimals = plain.partition(".")
    digits = integer.lstrip("+-\N{MINUS SIGN}")
    sign = integer.removesuffix(digits)
    grouped = digits.replace(",", "") if "," in digits else _grouped(digits)
    return f"{sign}{grouped}{point}{decimals} {unit}".strip()


def _grouped(digits: str) -> str:
    """Digits with a comma before each three from the right."""
    first = len(digits) % 3
    parts = [digits[:first], *(digits[start : start + 3] for start in range(first, len(digits), 3))]
    return ",".join(filter(None, parts))
