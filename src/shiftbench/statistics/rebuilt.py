"""Printed numbers rebuilt from released rows: the value that our statistics give, and whether it rounds to them.

A rebuilt value may differ from a printed one by half a unit of the last printed digit, and by what the rounding of its
terms adds at worst. Terms that are printed without a decimal point are counts, and exact. One term is no computation:
the same number is printed twice, and both prints have to agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from shiftbench.data.release_cards import PLACE, Card
from shiftbench.statistics.claims import released
from shiftbench.statistics.claims.expressions import evaluate
from shiftbench.statistics.claims.metric_rows import NotEvaluable, single_value
from shiftbench.statistics.claims.released import Released
from shiftbench.statistics.claims.statements import Reported, parts
from shiftbench.statistics.rows import Floats

AGREE, DISAGREE, NO_FILE = "agree", "do not agree", "no file covers"
OUTCOMES = (AGREE, DISAGREE, NO_FILE)
_FLOAT = 1e-9
_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|(?:±|\+-|\+/-)\s*[\d.]+")
"""What a printed text says beside its numbers: remarks in brackets, and deviations."""
_NUMBER = re.compile(r"(?<![\w.])(?:(?<!\d)[-+\N{MINUS SIGN}])?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Cell:
    """A printed number and the one that released rows give.

    Attributes:
        what: the number in words.
        printed: as printed.
        value: rebuilt, in the unit of what is printed; None: no file covers it.
        slack: by how much the rounding of its terms may move the value.
        terms: released numbers that it is computed from; 1: found as it is printed.
        reason: why there is no value.
    """

    what: str
    printed: str
    value: float | None = None
    slack: float = 0.0
    terms: int = 0
    reason: str = ""

    @property
    def outcome(self) -> str:
        """One of OUTCOMES."""
        if self.value is None:
            return NO_FILE
        off = abs(self.value - number_of(self.printed))
        return AGREE if off <= half_unit(self.printed) + self.slack + _FLOAT else DISAGREE


def numbers(text: str | float) -> list[str]:
    """The numbers of a printed text, without remarks in brackets and deviations.

    Example:
        >>> numbers("88.73±0.82 / 91.93±0.69 (accuracy 94.55)"), numbers("11,375; -0.5%"), numbers("not found")
        (['88.73', '91.93'], ['11,375', '-0.5'], [])
    """
    found: list[str] = _NUMBER.findall(_ASIDE.sub(" ", str(text)))
    return found


def number_of(printed: str) -> float:
    """A printed number."""
    return float(printed.replace(",", "").replace("\N{MINUS SIGN}", "-"))


def half_unit(printed: str) -> float:
    """Half a unit of the last digit of a printed number.

    Example:
        >>> half_unit("52.10"), half_unit("74")
        (0.005, 0.5)
    """
    return float(0.5 * 10.0 ** -len(printed.partition(".")[2]))


def of_reported(reported: Iterable[Reported], rows: pl.DataFrame) -> Iterator[tuple[int, Cell]]:
    """Yield place in the list and cell of each number that a paper prints.

    Args:
        reported: of a card of a system.
        rows: of the format RELEASED, of the releases that its expressions are about.
    """
    known = Released.of(rows)
    for place, one in enumerate(reported):
        scale = 100 if one.unit == "percent" else 1
        texts = numbers(one.value)
        expressions = [*one.from_released, *([None] * len(texts))][: len(texts)]
        for printed, expression in zip(texts, expressions, strict=True):
            what = f"{one.what}: {one.metric}"
            yield place, Cell(what, printed) if expression is None else _cell(what, printed, known, expression, scale)


def of_release(name: str, card: Card, rows: pl.DataFrame) -> Iterator[Cell]:
    """Yield the averages and differences that a release prints next to their terms.

    Args:
        name: of the release.
        card: of it.
        rows: its numbers, of the format RELEASED.
    """
    for rule in card.rebuilt:
        for row in rows.filter(*(_fits(column, wanted) for column, wanted in rule.cells.items())).iter_rows(named=True):
            known = Released.of(rows.filter(pl.col("note").eq_missing(pl.lit(row["note"], pl.String))))
            place = {column: row[column] for column in PLACE}
            printed = numbers(row["printed"])[0]
            where = f"{name}, {row['file']}, row {row['row']}, column {row['column']}"
            yield _cell(where, printed, known, _filled(rule.by, place), _scale(printed, row["value"]))


def _cell(what: str, printed: str, known: Released, expression: Mapping[str, Any], scale: float) -> Cell:
    try:
        value, slack, terms = _value(known, expression)
    except NotEvaluable as error:
        return Cell(what, printed, reason=str(error))
    return Cell(what, printed, scale * value, scale * slack, terms)


def _value(known: Released, expression: Mapping[str, Any]) -> tuple[float, float, int]:
    """Value of an expression, by how much the rounding of its terms may move it, and the number of these terms."""
    used = known.selected(expression)
    rows = used.metric_rows(released.widened(used.rows, _roundings(used.rows)))
    values = single_value(evaluate(rows, expression))
    terms = len(used.rows)
    return float(values[0]), float(np.abs(values[1:] - values[0]).sum()) if terms > 1 else 0.0, terms


def _roundings(rows: pl.DataFrame) -> Floats:
    """By how much rounding may have moved each value."""
    texts = [numbers(printed)[0] for printed in rows["printed"]]
    return np.array(
        [
            half_unit(text) / _scale(text, value) if "." in text else 0.0
            for text, value in zip(texts, rows["value"], strict=True)
        ]
    )


def _scale(printed: str, value: float) -> float:
    """Printed number per value: 100 if it is printed in percent."""
    return number_of(printed) / value if value else 1.0


def _fits(column: str, wanted: Any) -> pl.Expr:
    return pl.col(column).is_in(wanted if isinstance(wanted, list) else [wanted])


def _filled(expression: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """An expression whose selectors leave out what is as in a place; `{metric}` is the metric of the place."""
    if "metric" in expression:
        metric = place["metric"] if expression["metric"] == "{metric}" else expression["metric"]
        return {**place, **expression, "metric": metric}
    name, operand, over = parts(expression)
    filled = [_filled(one, place) for one in operand] if isinstance(operand, list) else _filled(operand, place)
    return {name: filled, **({"over": over} if over else {})}
