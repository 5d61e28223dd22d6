"""A table per corruption: the error of each model under each shift, at every severity."""

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
    """One model under one shift: its entries by severity, 0 being the clean set; `cell`: one of their conditions."""

    shift: str
    who: Who
    cell: Cell
    entries: dict[float, Entry]

    @property
    def mean(self) -> float | None:
        """The mean over severities without the clean one; None: one of them has no value."""
        values = [entry.value for severity, entry in self.entries.items() if severity]
        defined = [value for value in values if value is not None]
        return sum(defined) / len(defined) if defined and len(defined) == len(values) else None


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
    metric = _COMPLEMENT.get(lead[0], lead[0])
    entry = _complement if metric != lead[0] else Entry.of
    lines = []
    for shift in _in_order(chapter, {shift for _, _, shift, _ in by_place} - {CLEAN[0]}):
        for who in chapter.places.who:
            places = {0.0: (*who, *CLEAN)} | {level: (*who, shift, level) for level in levels}
            entries = {s: entry(by_place[place]) for s, place in places.items() if place in by_place}
            cell = (chapter.params["dataset"], chapter.params["split"], shift, levels[0])
            lines.append(Line(shift, who, cell, entries))
    return Corruptions(Measure.of(metric, chapter.about), (0.0, *levels), tuple(lines))


def _in_order(chapter: Chapter, shifts: set[str]) -> list[str]:
    """Shifts in the order in which params names them."""
    order = list(chapter.params["shifts"])
    return sorted(shifts, key=lambda name: (order.index(name) if name in order else len(order), name))


def _complement(row: Mapping[str, Any]) -> Entry:
    """The complement of a value to 1, such as the error of an accuracy."""
    names = ("value", "ci_high", "ci_low", "seed_high", "seed_low")
    value, low, high, *seeds = (None if row[name] is None else 1 - row[name] for name in names)
    return Entry(value, low, high, row["n"], row["seeds"], *seeds)
