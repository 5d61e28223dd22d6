"""One campaign as a chapter of the report: its leaderboard's rows, comparisons and panels of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import polars as pl

from shiftbench import figures
from shiftbench.figures import At, Figure, Line, Style
from shiftbench.leaderboard import Column, Entry, Places, Tables, Who, columns
from shiftbench.measures import Measure, spell
from shiftbench.reliability import BINS

_CLEAN, _ALL = "clean", "all shifts"
_PLACE_KEYS = ("shift", "severity", "metric", "weights", "method")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a leaderboard: the mean over training seeds, and each seed below it."""

    who: Who
    label: str
    seeds: tuple[tuple[Who, str], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A place for a figure; `alt` says what is to be seen."""

    id: str
    alt: str


@dataclass(frozen=True, slots=True)
class Panel:
    """Figures that one selector switches: choices are (value, spelled)."""

    id: str
    kind: str
    title: str
    note: str
    asks: str
    choices: tuple[tuple[str, str], ...]
    plots: tuple[Plot, ...]
    figures: dict[str, dict[str, Figure]]


@dataclass
class Chapter:
    """One campaign: what was run, and what the report shows of it."""

    name: str
    params: Mapping[str, Any]
    tables: Tables
    about: Mapping[str, Mapping[str, Any]]
    places: Places = field(init=False)
    columns: list[Column] = field(init=False)
    labels: dict[Who, str] = field(init=False)
    styles: dict[str, Style] = field(init=False)

    def __post_init__(self) -> None:
        self.places = Places.of(self.tables, self.params["dataset"], self.params["split"])
        self.columns = columns(self.tables, self.places, self.about)
        everyone = sorted(
            {who for column in self.columns for who in column.entries} | set(self.places.who)
        )
        self.labels = {who: self._label(*who) for who in everyone}
        self.styles = Style.of([self.labels[who] for who in self.places.who])

    def _label(self, weights: str, method: str) -> str:
        short = weights.removeprefix(f"{self.params['dataset']}/")
        return short if self.params["methods"] == ["plain"] else f"{short} + {method}"

    # ------------------------------------------------------------------ what was run

    @property
    def draws(self) -> int:
        """Number of bootstrap draws behind each interval."""
        longest = self.tables.replicates["draws"].list.len().max()
        return int(longest or 0)  # type: ignore[arg-type]

    @property
    def n(self) -> int:
        """Samples of the clean set."""
        return int(self.places.clean["n"].max() or 0)  # type: ignore[arg-type]

    @property
    def seeds(self) -> list[int]:
        """Training seeds of the weights."""
        found: list[int] = self.tables.metrics["seed"].drop_nulls().unique().sort().to_list()
        return found

    @property
    def names(self) -> list[str]:
        """What is compared: means over seeds, and weights without a seed."""
        return [self.labels[who] for who in self.places.who]

    @property
    def rows(self) -> list[Row]:
        """The leaderboard's lines, the best of the first column first."""
        children = self._children()
        first = self.columns[0] if self.columns else None
        worst = float("-inf")

        def rank(who: Who) -> tuple[float, Who]:
            value = first.entries[who].value if first and who in first.entries else None
            sign = -1 if first and first.measure.higher_is_better else 1
            return (-worst if value is None else sign * value), who

        return [
            Row(
                who,
                self.labels[who],
                tuple((child, self.labels[child]) for child in children.get(who, [])),
            )
            for who in sorted(self.places.who, key=rank)
        ]

    def _children(self) -> dict[Who, list[Who]]:
        seeded = (
            self.tables.metrics.filter(pl.col("seed").is_not_null())
            .select("weights", "method", "seed")
            .unique()
        )
        found: dict[Who, list[Who]] = {}
        for weights, method, _ in sorted(seeded.iter_rows(), key=lambda row: row[2]):
            if (weights, method) in self.labels:
                found.setdefault((weights.rpartition("-s")[0], method), []).append(
                    (weights, method)
                )
        return found

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the columns, with how many columns each spans."""
        return _spans(self.columns)

    @property
    def leaders(self) -> list[Column]:
        """The columns that a summary names: the leading metric on the clean set, under shift and domain shift."""
        lead = self.places.metrics[:1]
        return [
            c for c in self.columns if c.best and (c.measure.name in lead or c.group == "OOD sets")
        ][:4]

    # ------------------------------------------------------------------ OOD detection

    @property
    def detectors(self) -> list[str]:
        """Detectors that were scored."""
        found: list[str] = sorted(self.places.detection["detector"].unique().to_list())
        return found

    @property
    def sets(self) -> list[Column]:
        """The columns of OOD detection: each OOD set and metric; entries by weights, method and detector."""
        means = self.places.detection.filter(pl.col("seed").is_null()).sort("dataset", "metric")
        found: dict[tuple[str, str], dict[Who, Entry]] = {}
        for row in means.iter_rows(named=True):
            who = (row["weights"], row["method"], row["detector"])
            found.setdefault((row["dataset"], row["metric"]), {})[who] = _entry(row)
        return [
            Column(f"{dataset}-{metric}", dataset, Measure.of(metric, self.about), None, 1, entries)
            for (dataset, metric), entries in found.items()
        ]

    @property
    def set_groups(self) -> list[tuple[str, int]]:
        """Headings above `sets`, with how many columns each spans."""
        return _spans(self.sets)

    # ------------------------------------------------------------------ figures

    @property
    def panels(self) -> list[Panel]:
        """All panels that have something to show."""
        made = (self._curves(), self._domains(), self._trade(), self._reliability())
        return [panel for panel in made if panel.plots]

    def _measures(self) -> list[Measure]:
        return [Measure.of(name, self.about) for name in self.places.metrics]

    def _curves(self) -> Panel:
        cells = _cells(pl.concat([self.places.levels, self.places.clean]))
        levels = self.places.levels.select("shift", "severity").unique().sort("severity")
        shots: dict[str, dict[str, Figure]] = {}
        for name in self._asked(levels):
            own = levels.filter(pl.col("shift") == name)["severity"]
            positions = [("identity", 0.0), *((name, severity) for severity in own)]
            shots[name] = {
                measure.name: figures.curves(
                    self._lines(cells, positions, measure, _severity), measure, spell(name)
                )
                for measure in self._measures()
            }
        note = "Severity 0 is the clean set. Bands are 95% intervals over resampled samples."
        return self._panel("curves", "Severity curves", note, "metric", self._choices(), shots)

    def _asked(self, rows: pl.DataFrame) -> list[str]:
        """Return the shifts of some rows, in the order in which params names them."""
        asked: list[str] = list(self.params["shifts"])
        found = sorted(rows["shift"].unique().to_list())
        return sorted(found, key=lambda name: asked.index(name) if name in asked else len(asked))

    def _domains(self) -> Panel:
        cells = _cells(pl.concat([self.places.domains, self.places.clean]))
        shifts = self._asked(self.places.domains)
        positions = [("identity", 0.0), *((shift, 0.0) for shift in shifts)]
        drawn = {
            measure.name: figures.points(self._lines(cells, positions, measure, _name), measure, "")
            for measure in self._measures()
        }
        note = "Other data over shared classes, beside the campaign's own clean set. Bars are 95% intervals."
        shots = {"all": drawn} if shifts else {}
        return self._panel("domains", "Domain shifts", note, "metric", self._choices(), shots)

    def _lines(
        self,
        cells: Mapping[Any, Entry],
        positions: list[tuple[str, float]],
        measure: Measure,
        spot: Callable[[str, float], At],
    ) -> list[Line[At]]:
        """Return one line per weights; `spot` says where a (shift, severity) stands in the figure."""
        lines = []
        for who in self.places.who:
            kept = [
                (p, cells[*p, measure.name, *who])
                for p in positions
                if (*p, measure.name, *who) in cells
            ]
            at = tuple(spot(*position) for position, _ in kept)
            lines.append(Line(self.styles[self.labels[who]], at, tuple(entry for _, entry in kept)))
        return lines

    def _trade(self) -> Panel:
        """Draw the leading metric on the clean set against its means under shift."""
        lead = self.places.metrics[:1]
        own = {column.group: column for column in self.columns if column.measure.name in lead}
        shots: dict[str, dict[str, Figure]] = {
            group: {"": self._scatter(own["clean"], own[group])}
            for group in ("corruptions", "domain shifts")
            if group in own and len(self.places.who) > 1
        }
        note = "Clean performance against the mean under shift: what is gained on one axis need not be on the other."
        return self._panel("trade", "Clean against shifted", note, "", (), shots)

    def _scatter(self, clean: Column, shifted: Column) -> Figure:
        pairs = [
            (self.styles[self.labels[who]], clean.entries[who], shifted.entries[who])
            for who in self.places.who
            if who in clean.entries and who in shifted.entries
        ]
        return figures.scatter(pairs, clean.measure, shifted.measure, f"mean over {shifted.group}")

    def _reliability(self) -> Panel:
        shots: dict[str, dict[str, Figure]] = {}
        conditions: dict[str, None] = {}
        for who, pooled in self._bins().items():
            for condition, rows in pooled.items():
                conditions[condition] = None
                drawn = figures.reliability(rows, self.styles[self.labels[who]], BINS)
                shots.setdefault(self.labels[who], {})[condition] = drawn
        ordered = sorted(
            conditions, key=lambda name: (name != _CLEAN, not name.startswith(_ALL), name)
        )
        note = (
            "Accuracy of the samples in each bin of confidence, seeds pooled; on the dotted line confidence is "
            "right. Below: the share of samples."
        )
        return self._panel(
            "reliability", "Reliability", note, "data", [(name, name) for name in ordered], shots
        )

    def _bins(self) -> dict[Who, dict[str, list[tuple[int, int, float]]]]:
        """Return pooled bins (samples, right ones, sum of confidences) per mean over seeds and condition."""
        if self.tables.reliability is None:
            return {}
        rows = self.tables.reliability.filter(
            pl.col("step").is_null(), pl.col("split") == self.params["split"]
        )
        family = {
            child[0]: who[0] for who, children in self._children().items() for child in children
        }
        named = rows.with_columns(
            pl.col("weights").replace(family),
            condition=pl.struct("reference", "shift", "severity").map_elements(
                _condition, return_dtype=pl.String
            ),
        )
        place = ("weights", "method", "condition", "bin")
        sums = named.group_by(place).agg(pl.col("n", "correct", "confidence_e9").sum()).sort(place)
        pooled: dict[Who, dict[str, list[tuple[int, int, float]]]] = {
            who: {} for who in self.places.who
        }
        for row in sums.iter_rows(named=True):
            bins = pooled[row["weights"], row["method"]].setdefault(row["condition"], [])
            bins.append((row["n"], row["correct"], row["confidence_e9"] / 1e9))
        return pooled

    def _choices(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (measure.name, f"{measure.title} {measure.arrow}".strip())
            for measure in self._measures()
        )

    def _panel(
        self,
        kind: str,
        title: str,
        note: str,
        asks: str,
        choices: Sequence[tuple[str, str]],
        shots: Mapping[str, dict[str, Figure]],
    ) -> Panel:
        ids = {name: f"plot-{self.name}-{kind}-{number}" for number, name in enumerate(shots)}
        plots = tuple(
            Plot(ids[name], f"{title} of campaign {self.name}: {spell(name)}") for name in shots
        )
        drawn = {ids[name]: by_choice for name, by_choice in shots.items()}
        return Panel(f"{kind}-{self.name}", kind, title, note, asks, tuple(choices), plots, drawn)


def _spans(found: Sequence[Column]) -> list[tuple[str, int]]:
    return [
        (name, len(list(members)))
        for name, members in groupby(found, key=lambda column: column.group)
    ]


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(row["value"], row["ci_low"], row["ci_high"], row["n"])


def _cells(rows: pl.DataFrame) -> dict[tuple[Any, ...], Entry]:
    """Return entries by (shift, severity, metric, weights, method); a missing severity is 0."""
    filled = rows.with_columns(pl.col("severity").fill_null(0.0))
    return {
        tuple(row[key] for key in _PLACE_KEYS): _entry(row) for row in filled.iter_rows(named=True)
    }


def _severity(_: str, severity: float) -> float:
    return severity


def _name(shift: str, _: float) -> str:
    return _CLEAN if shift == "identity" else spell(shift)


def _condition(cell: Mapping[str, Any]) -> str:
    if cell["reference"] is None:
        return _CLEAN
    if cell["severity"] is None:
        return spell(cell["shift"])
    return f"{_ALL} at severity {cell['severity']:g}"


def ends(names: Iterable[object]) -> str:
    """Join names or numbers as a sentence does.

    Example:
        >>> ends(["a", "b", "c"])
        'a, b and c'
    """
    *most, last = [str(name) for name in names] or [""]
    return f"{', '.join(most)} and {last}" if most else last
