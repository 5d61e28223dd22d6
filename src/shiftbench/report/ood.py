"""OOD detection of one benchmark: detectors against OOD sets, with marks; AUROC and FPR95 are in one table.

Few detectors are columns, so that models can be compared. Many detectors are rows, in one table per model. The stage
aggregate compared the detectors of each model with the best one on a set (format COMPARISONS); nothing is tested again
here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import polars as pl

from shiftbench.report.figures import Style
from shiftbench.report.leaderboard import FEW, Places, Tables, Who
from shiftbench.report.measures import Entry, Measure
from shiftbench.report.titles import NONE, Titles

LEVEL = 0.05  # of Holm's corrected p-value
LEAD = ("auroc", "fpr95")
_NEAR_FAR = ("near", "far")
_SEVERAL = 2  # sets that a group must have for its mean to be another number


@dataclass(frozen=True, slots=True)
class Against:
    """One column of a table: an OOD set, or the mean over a group of them.

    Attributes:
        name: of the set, or of the group if it is a mean.
        title: of the set.
        group: that it belongs to, empty where there are none.
        positions: how many sets it averages.
        entries: by model, method and detector.
        best: per model, the best detector.
        tied: per model, the detectors that are not significantly worse.
    """

    name: str
    title: str
    group: str
    positions: int
    entries: dict[Who, Entry]
    best: frozenset[Who] = frozenset()
    tied: frozenset[Who] = frozenset()

    @property
    def heading(self) -> str:
        """Text of the heading."""
        return "mean" if self.positions > 1 else self.title

    @property
    def n(self) -> int | None:
        """The number of samples, if it is the same in all entries."""
        counts = {entry.n for entry in self.entries.values() if entry.value is not None}
        return counts.pop() if len(counts) == 1 else None

    def state(self, who: Who) -> str:
        """Mark of a cell of the table."""
        return "best" if who in self.best else "tied" if who in self.tied else ""


@dataclass(frozen=True, slots=True)
class View:
    """One table: a metric on all sets.

    Attributes:
        key: fit for an HTML id.
        name: text in the selector.
        measure: the metric.
        columns: each group's mean, then its sets.
        rows: model, method and detector; the best of the first column first.
        beside: accuracy on the ID samples, by model and method.
        known: number of ID samples, by model and method; empty for failure detection.
        second: the metric that is printed below this one: FPR95 below AUROC.
    """

    key: str
    name: str
    measure: Measure
    columns: tuple[Against, ...]
    rows: tuple[Who, ...]
    beside: Mapping[Who, Entry]
    known: Mapping[Who, int]
    second: "View | None" = None

    def below(self, column: Against) -> Against | None:
        """The second metric's column on the same sets."""
        columns = self.second.columns if self.second else ()
        return next((one for one in columns if (one.group, one.name) == (column.group, column.name)), None)

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, with how many columns each spans."""
        return [(name, len(list(members))) for name, members in groupby(self.columns, key=lambda column: column.group)]

    def sides(self, n: int, who: Who | None = None) -> str:
        """Numbers of ID and of OOD samples in n, in words, for `who`; default: for all, if they are equal."""
        counts = {self.known[who[:2]]} if who and who[:2] in self.known else set(self.known.values())
        if len(counts) != 1 or n < max(counts):
            return f"n = {n:,}"
        id = counts.pop()
        return f"n = {id:,} + {n - id:,}"


@dataclass
class Detection:
    """OOD detection in a chapter.

    Attributes:
        params: the benchmark's part of params.yaml.
        tables: those of the stage aggregate.
        places: the rows of `tables`, sorted.
        about: facts of metrics by name.
        titles: of all names in the benchmark.
        detectors: names, in the order of params.
        styles: how detectors are drawn, by name.
        views: the tables.
    """

    params: Mapping[str, Any]
    tables: Tables
    places: Places
    about: Mapping[str, Mapping[str, Any]]
    titles: Titles = NONE
    detectors: list[str] = field(init=False)
    styles: dict[str, Style] = field(init=False)
    views: list[View] = field(init=False)

    def __post_init__(self) -> None:
        scored = pl.concat([self.places.detection, self.places.spectrum, self.places.failure])
        listed = [name for name in self.params["detectors"] if (scored["detector"] == name).any()]
        rest = sorted(set(scored["detector"].unique().to_list()) - set(listed))
        self.detectors = [*listed, *rest]
        self.styles = Style.of({name: self.titles.of("detectors", name) for name in self.detectors})
        self.views = [view for view in self._views() if view.columns]

    @property
    def models_are_rows(self) -> bool:
        """Whether rows are models and detectors are columns, for which only few detectors have room."""
        return len(self.detectors) <= FEW and len(self.places.who) > 1

    @property
    def groups(self) -> dict[str, list[str]]:
        """The groups of OOD sets by name, near and far before others; without groups, one without a name."""
        option = self.params["ood"]
        groups: Mapping[str, list[str]] = option if isinstance(option, Mapping) else {"": option}
        # A recipe is sorted by key, so that the order of params is not known any more.
        order = sorted(groups, key=lambda name: (*(name != known for known in _NEAR_FAR), name))
        return {name: list(groups[name]) for name in order}

    @property
    def draws(self) -> int:
        """Bootstrap resamples that a difference from the best needs to be significant after Holm's correction.

        The smallest p-value of b draws is 2 / (b + 1), and the smallest of m corrected ones m times that.
        """
        return math.ceil(2 * (len(self.detectors) - 1) / LEVEL)

    @property
    def leaders(self) -> list[tuple[View, Against]]:
        """Columns of a summary: the leading metric's mean over each group."""
        views = self.views[:1] if "" not in self.groups else []
        return [(view, column) for view in views for column in self._firsts(view) if column.best]

    @staticmethod
    def _firsts(view: View) -> Iterator[Against]:
        for _, members in groupby(view.columns, key=lambda column: column.group):
            yield next(members)

    def view(self, metric: str) -> View | None:
        """Table of a metric against the clean set."""
        return next((view for view in self.views if view.key == metric), None)

    # ------------------------------------------------------------------ tables

    def _views(self) -> Iterator[View]:
        for rows, ending, sample in (
            (self.places.detection, "", self.places.clean),
            (self.places.spectrum, "full spectrum", self.places.whole),
        ):
            views = {
                metric: self._view(rows.filter(pl.col("metric") == metric), metric, ending, sample)
                for metric in _ordered(rows)
            }
            if views.keys() >= set(LEAD):
                first, second = (views[metric] for metric in LEAD)
                name = f"{first.measure.title} and {second.measure.title}{', ' if ending else ''}{ending}"
                views[LEAD[0]] = replace(first, name=name, second=second)
            yield from views.values()
        for metric in _ordered(self.places.failure):
            rows = self.places.failure.filter(pl.col("metric") == metric)
            yield self._view(rows, metric, "failure detection", self.places.clean)

    def _view(self, rows: pl.DataFrame, metric: str, ending: str, sample: pl.DataFrame) -> View:
        measure = Measure.of(metric, self.about)
        failure = ending == "failure detection"
        entries_by_set = _entries(rows.filter(pl.col("seed").is_null()))
        marks = self._marks(rows)
        sets = {"": [self.params["dataset"]]} if failure else self.groups
        columns = [
            Against(
                name,
                self.titles.of("datasets", name),
                group,
                positions,
                entries,
                *_marked(marks.get(name, {}), entries),
            )
            for group, names in sets.items()
            for name, positions in _columns(group, names)
            if (entries := entries_by_set.get(name, {}))
        ]
        means = sample.filter(pl.col("seed").is_null())
        accuracy = _entries(means.filter(pl.col("metric") == "accuracy"))
        accuracies = {who[:2]: e for entries in accuracy.values() for who, e in entries.items()}
        counts = means.group_by("model", "method").agg(pl.col("n").max()).iter_rows()
        id_counts: dict[Who, int] = {(model, method): n for model, method, n in counts}
        return View(
            "-".join([metric, *ending.split()]),
            f"{measure.title} {measure.arrow}{', ' if ending else ''}{ending}",
            measure,
            tuple(columns),
            tuple(self._rows(columns, measure)),
            accuracies,
            {} if failure else id_counts,
        )

    def _rows(self, columns: Sequence[Against], measure: Measure) -> list[Who]:
        """Models in their order, and below each its detectors, the best of the first column first."""
        sign = -1 if measure.higher_is_better else 1
        first = columns[0].entries if columns else {}

        def rank(who: Who) -> tuple[bool, float]:
            value = first[who].value if who in first else None
            return value is None, 0 if value is None else sign * value

        return [
            who for model in self.places.who for who in sorted(((*model, name) for name in self.detectors), key=rank)
        ]

    def _marks(self, rows: pl.DataFrame) -> dict[str, dict[Who, tuple[str, bool, bool]]]:
        """Comparisons with the best detector, by set: the best, whether equal, whether not significantly worse."""
        if self.tables.comparisons is None or rows.is_empty():
            return {}
        place = ["metric", "reference", "split", "dataset", "shift", "model", "method", "detector"]
        compared = self.tables.comparisons.filter(
            pl.col("against") == "best",
            pl.col("group").is_null(),
            pl.col("step").is_null(),
            pl.col("difference").is_not_null(),
        ).join(rows.select(place), on=place, how="semi", nulls_equal=True)
        draws: Any = self.tables.replicates["draws"].list.len().max()
        smallest = 2 / ((draws or 0) + 1) + 1e-9
        marks_by_set: dict[str, dict[Who, tuple[str, bool, bool]]] = {}
        uncompared: set[str] = set()
        for row in compared.iter_rows(named=True):
            equal = row["difference"] == 0
            p_value, p_holm = row["p_value"], row["p_holm"]
            if p_value is None and not equal:
                uncompared.add(row["dataset"])  # two training seeds give no interval
            # A difference of one sign in every draw is no tie, though few draws leave it above the level.
            is_tied = equal or (p_holm is not None and p_holm >= LEVEL and p_value > smallest)
            who = row["model"], row["method"], row["detector"]
            marks_by_set.setdefault(row["dataset"], {})[who] = (row["other"], equal, is_tied)
        return {name: marks for name, marks in marks_by_set.items() if name not in uncompared}


def _columns(group: str, names: Sequence[str]) -> list[tuple[str, int]]:
    """A group's columns with how many sets each averages: its mean first, where it has several sets."""
    set_columns = [(name, 1) for name in names]
    return [(group, len(names)), *set_columns] if group and len(names) >= _SEVERAL else set_columns


def _marked(
    marks: Mapping[Who, tuple[str, bool, bool]], entries: Mapping[Who, Entry]
) -> tuple[frozenset[Who], frozenset[Who]]:
    best = {(*who[:2], other) for who, (other, _, _) in marks.items()}
    best |= {who for who, (_, equal, _) in marks.items() if equal}
    tied = {who for who, (_, _, is_tied) in marks.items() if is_tied}
    return frozenset(best & entries.keys()), frozenset(tied & entries.keys()) - best


def _entries(rows: pl.DataFrame) -> dict[str, dict[Who, Entry]]:
    """Entries by dataset (or group), and by model, method and detector."""
    entries: dict[str, dict[Who, Entry]] = {}
    for row in rows.iter_rows(named=True):
        who = (row["model"], row["method"], row["detector"])
        entries.setdefault(row["dataset"], {})[who] = Entry.of(row)
    return entries


def _ordered(rows: pl.DataFrame) -> list[str]:
    names: list[str] = sorted(rows["metric"].unique().to_list())
    lead = [name for name in LEAD if name in names]
    return [*lead, *(name for name in names if name not in lead)]
