"""A table per corruption: the error of each weights under each shift, at every severity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from shiftbench.report.cells import Cell
from shiftbench.report.chapters import Chapter
from shiftbench.report.leaderboard import Who
from shiftbench.report.measures import Entry, Measure

CLEAN = ("identity", 0.0)
_COMPLEMENT = {"accuracy": "error"}  # as tables of corruptions are printed


@dataclass(frozen=True, slots=True)
class Line:
    """One weights under one shift: its entries by severity, 0 being the clean set; `cell`: one of what they are of."""

    shift: str
    who: Who
    cell: Cell
    entries: dict[float, Entry]

    @property
    def mean(self) -> float | None:
        """The mean over severities but for the clean one; None where one of them has no value."""
        values = [entry.value for severity, entry in self.entries.items() if severity]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else None


@dataclass(frozen=True, slots=True)
class Corruptions:
    """The leading metric by shift and severity; of accuracy, the error."""

    measure: Measure
    severities: tuple[float, ...]
    lines: tuple[Line, ...]


def corruptions(chapter: Chapter) -> Corruptions | None:
    """Table of a benchmark; None where no shift has severities."""
    lead = chapter.places.metrics[:1]
    rows = pl.concat([chapter.places.clean, chapter.places.levels]).filter(
        pl.col("metric").is_in(lead), pl.col("seed").is_null()
    )
    by_place = {(row["model"], row["method"], row["shift"], row["severity"]): row for row in rows.iter_rows(named=True)}
    levels = sorted({severity for *_, shift, severity in by_place if shift != CLEAN[0]})
    if not levels:
        return None
    turned = _COMPLEMENT.get(lead[0], lead[0])
    entry = _complement if turned != lead[0] else Entry.of
    found = []
    for shift in _in_order(chapter, {shift for _, _, shift, _ in by_place} - {CLEAN[0]}):
        for who in chapter.places.who:
            places = {0.0: (*who, *CLEAN)} | {level: (*who, shift, level) for level in levels}
            own = {s: entry(by_place[place]) for s, place in places.items() if place in by_place}
            cell = (chapter.params["dataset"], chapter.params["split"], shift, levels[0])
            found.append(Line(shift, who, cell, own))
    return Corruptions(Measure.of(turned, chapter.about), (0.0, *levels), tuple(found))


def _in_order(chapter: Chapter, found: set[str]) -> list[str]:
    """Shifts in the order in which params names them."""
    asked = list(chapter.params["shifts"])
    return sorted(found, key=lambda name: (asked.index(name) if name in asked else len(asked), name))


def _complement(row: Mapping[str, Any]) -> Entry:
    """Return what is missing to 1."""
    names = ("value", "ci_high", "ci_low", "seed_high", "seed_low")
    value, low, high, *seeds = (None if row[name] is None else 1 - row[name] for name in names)
    return Entry(value, low, high, row["n"], row["seeds"], *seeds)
