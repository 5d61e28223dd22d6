"""A table per corruption: the error of each weights under each shift, at every severity."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from shiftbench.page.chapters import Chapter
from shiftbench.page.leaderboard import Entry, Who
from shiftbench.page.measures import Measure, spell

CLEAN = 0.0
_COMPLEMENT = {"accuracy": "error"}  # as tables of corruptions are printed


@dataclass(frozen=True, slots=True)
class Line:
    """One weights under one shift: its entries by severity (0: clean), and their mean but for the clean one."""

    shift: str
    who: Who
    entries: dict[float, Entry]
    mean: float | None


@dataclass(frozen=True, slots=True)
class Corruptions:
    """The leading metric by shift and severity; of accuracy, the error."""

    measure: Measure
    severities: tuple[float, ...]
    lines: tuple[Line, ...]


def corruptions(chapter: Chapter) -> Corruptions | None:
    """Return the table of a campaign; None where no shift has severities."""
    lead = chapter.places.metrics[:1]
    rows = pl.concat([chapter.places.clean, chapter.places.levels]).filter(
        pl.col("metric").is_in(lead), pl.col("seed").is_null()
    )
    at = {(row["weights"], row["method"], row["shift"], row["severity"]): row for row in rows.iter_rows(named=True)}  # fmt: skip
    levels = sorted({severity for *_, shift, severity in at if shift != "identity"})
    if not levels:
        return None
    turned = lead[0] in _COMPLEMENT
    found = []
    for shift in _in_order(chapter, {shift for _, _, shift, _ in at} - {"identity"}):
        for who in chapter.places.who:
            places = {CLEAN: (*who, "identity", 0.0)} | {s: (*who, shift, s) for s in levels}
            own = {s: _entry(Entry.of(at[p]), turned) for s, p in places.items() if p in at}
            shifted = [entry.value for s, entry in own.items() if s != CLEAN]
            known = [value for value in shifted if value is not None]
            whole = known and len(known) == len(shifted)
            found.append(Line(shift, who, own, sum(known) / len(known) if whole else None))
    measure = Measure.of(_COMPLEMENT.get(lead[0], lead[0]), chapter.about)
    return Corruptions(measure, (CLEAN, *levels), tuple(found))


def _in_order(chapter: Chapter, found: set[str]) -> list[str]:
    asked = list(chapter.params["shifts"])
    return sorted(found, key=lambda name: (asked.index(name) if name in asked else len(asked), spell(name)))  # fmt: skip


def _entry(entry: Entry, turned: bool) -> Entry:
    """Return an entry, or that of what is missing to 1."""
    if not turned:
        return entry
    value, low, high = (None if one is None else 1 - one for one in (entry.value, entry.high, entry.low))  # fmt: skip
    return Entry(value, low, high, entry.n)
