"""Cell typos: in some cells a letter gives way to its neighbour on the keyboard.

A reader still finds what the claim names. The claim's truth is that of the table as it was.

Source: keyboard typos as in Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173, section 3.2; of tables ours.
Differs: a cell has one mistake at most, and the severity is the share of cells.

Takes one 16-bit word, one raw word per cell that has a letter, then two 16-bit words for each (letter, neighbour).
"""

from collections.abc import Mapping
from typing import Any

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts
from shiftbench.systems.repanda.shifts import _tables

FIELD = "table"
TASK = "table_question"
LEVELS = _tables.HALF
RANGE = _levels.RANGE


def apply(value: Mapping[str, Any], severity: float, rng: RandomStream) -> Mapping[str, Any]:
    """A table with typing mistakes in its cells.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    places = [
        (row, column)
        for row, cells in enumerate(value["rows"])
        for column, cell in enumerate(cells)
        if cell and _letters(cell)
    ]
    order = _texts.touched(share, len(places), rng)
    positions, key_draws = rng.uniform(len(places)), rng.uniform(len(places))
    changed = {}
    for index in order:
        row, column = places[index]
        cell = value["rows"][row][column]
        changed[row, column] = _mistyped(cell, float(positions[index]), float(key_draws[index]))
    return _tables.with_cells(value, changed)


def _letters(cell: str) -> list[int]:
    return [index for index, letter in enumerate(cell) if letter.lower() in _texts.NEIGHBOURS]


def _mistyped(cell: str, position_draw: float, key_draw: float) -> str:
    letters = _letters(cell)
    index = letters[int(position_draw * len(letters))]
    neighbour = _texts.pick(_texts.NEIGHBOURS[cell[index].lower()], key_draw)
    return cell[:index] + _texts.cased(neighbour, cell[index]) + cell[index + 1 :]
