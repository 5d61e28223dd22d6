"""Tables by corruption: each model's mean error under each shift in ImageNet-C's groups, and at every severity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import polars as pl

from shiftbench.report.cells import Cell
from shiftbench.report.chapters import Chapter
from shiftbench.report.leaderboard import GROUPS, Column, Who, means
from shiftbench.report.measures import Entry, Measure

CLEAN = ("identity", 0.0)
_COMPLEMENT = {"accuracy": "error"}  # as tables of corruptions are printed


OTHER = "other"
"""Group of shifts that ImageNet-C does not have."""
_SHORT = {
    "gaussian_noise": "Gauss.", "shot_noise": "Shot", "impulse_noise": "Impulse", "defocus_blur": "Defocus",
    "glass_blur": "Glass", "motion_blur": "Motion", "zoom_blur": "Zoom", "brightness": "Bright",
    "elastic_transform": "Elastic", "pixelate": "Pixel", "jpeg_compression": "JPEG",
}  # fmt: skip
"""Headings of the table in the paper of ImageNet-C."""


@dataclass(frozen=True, slots=True)
class Hot:
    """A cell of the wide table: the mean over severities, its place between the extremes, and whether it is best."""

    entry: Entry
    heat: float
    best: bool
    cell: Cell


@dataclass(frozen=True, slots=True)
class Heat:
    """The leading metric by model and shift, means over severities; of accuracy, the error.

    Attributes:
        measure: of all cells.
        groups: of the columns: name and number of columns; empty names where no shift is of ImageNet-C.
        shifts: columns: name and heading.
        rows: model, mean over the columns, and its cells.
        severities: over which the means are.
        mean: title of the column of means.
        mce: the column of mCE, if the benchmark has it.
    """

    measure: Measure
    groups: tuple[tuple[str, int], ...]
    shifts: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Who, Entry | None, tuple[Hot | None, ...]], ...]
    severities: tuple[float, ...]
    mean: str
    mce: Column | None


def heat(chapter: Chapter) -> Heat | None:
    """Wide table of a benchmark; None where no shift has severities."""
    lead, column = chapter.places.metrics[:1], chapter.shifted
    rows = chapter.places.levels.filter(pl.col("metric").is_in(lead))
    if rows.is_empty() or column is None or column.group == "domain shifts":
        return None
    measure = Measure.of(_COMPLEMENT.get(lead[0], lead[0]), chapter.about)
    turn = lead[0] in _COMPLEMENT
    shifts = _grouped(_in_order(chapter, set(rows["shift"].unique().to_list())))
    entries = {
        shift: {
            who: _turned(entry) if turn else entry
            for who, entry in means(chapter.tables, rows.filter(pl.col("shift") == shift), measure).items()
        }
        for _, shift in shifts
    }
    values = [
        e.value for own in entries.values() for who, e in own.items() if who in chapter.models and e.value is not None
    ]
    low, high = min(values, default=0.0), max(values, default=1.0)
    better = max if measure.higher_is_better else min
    best = {
        shift: better(
            (e.value for who in chapter.places.who if (e := own.get(who)) and e.value is not None), default=None
        )
        for shift, own in entries.items()
    }
    split = chapter.params["split"]
    first = {shift: rows.filter(pl.col("shift") == shift)["severity"].min() for _, shift in shifts}

    def hot(shift: str, who: Who) -> Hot | None:
        entry = entries[shift].get(who)
        if entry is None or entry.value is None:
            return None
        share = (entry.value - low) / (high - low) if high > low else 0.0
        cell: Cell = (chapter.params["dataset"], split, shift, first[shift])  # type: ignore[assignment]
        return Hot(
            entry, round(share if not measure.higher_is_better else 1 - share, 2), entry.value == best[shift], cell
        )

    groups = tuple((name, len(list(members))) for name, members in groupby(shifts, key=lambda one: one[0]))
    return Heat(
        measure,
        groups if any(name != OTHER for name, _ in groups) else (),
        tuple((shift, _SHORT.get(shift) or chapter.titles.of("shifts", shift)) for _, shift in shifts),
        tuple(
            (
                row.who,
                _turned(column.entries[row.who]) if turn and row.who in column.entries else column.entries.get(row.who),
                tuple(hot(shift, row.who) for _, shift in shifts),
            )
            for row in chapter.rows
        ),
        tuple(sorted(rows["severity"].unique().to_list())),
        "mean of 15" if column.group != "corruptions" else "mean",
        next((one for one in chapter.columns if one.measure.name == "mce"), None),
    )


def _grouped(shifts: Sequence[str]) -> list[tuple[str, str]]:
    """Group and name of each shift: ImageNet-C's in its order, then the others."""
    known = [(group, shift) for group, names in GROUPS.items() for shift in names if shift in shifts]
    return known + [(OTHER, shift) for shift in shifts if shift not in {name for _, name in known}]


def _turned(entry: Entry) -> Entry:
    """The complement of an entry to 1."""
    value, low, high, *seeds = (
        None if end is None else 1 - end
        for end in (entry.value, entry.high, entry.low, entry.seed_high, entry.seed_low)
    )
    return Entry(value, low, high, entry.n, entry.seeds, *seeds)


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
