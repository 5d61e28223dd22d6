"""The figures of a chapter, in panels: severity curves, domain shifts, clean against shifted, reliability."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from shiftbench.data.formats import E9
from shiftbench.report import figures
from shiftbench.report.chapters import Chapter
from shiftbench.report.figures import FEWEST, Bins, Figure, Line, Style
from shiftbench.report.leaderboard import Column, Who, certain
from shiftbench.report.measures import Entry, Measure
from shiftbench.report.titles import Titles
from shiftbench.statistics.reliability import BINS

Shots = dict[str, dict[str, Figure]]  # name of the plot -> choice of the selectors -> figure
_Position = tuple[str, float]  # shift, severity
_Cells = dict[tuple[str, ...], dict[_Position, Entry]]
_CLEAN, _ALL = "clean", "all shifts"


@dataclass(frozen=True, slots=True)
class Plot:
    """A place for a figure; `alt` describes it."""

    id: str
    alt: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A selector: its label, and its choices as (value, title)."""

    label: str
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """Figures that selectors switch.

    Attributes:
        id: unique on the page.
        kind: of the panel, such as `curves`.
        title: heading.
        note: how to read it.
        asks: selectors with several choices; a choice is their values joined with `|`.
        plots: the places, in order.
        figures: by place and choice.
        legend: series that can be hidden and shown.
    """

    id: str
    kind: str
    title: str
    note: str
    asks: tuple[Ask, ...]
    plots: tuple[Plot, ...]
    figures: Shots
    legend: tuple[Style, ...]


def panels(chapter: Chapter) -> list[Panel]:
    """Panels of a benchmark that have something to show."""
    panels = (_curves(chapter), _domains(chapter), _trade(chapter), _reliability(chapter))
    return [panel for panel in panels if panel.plots]


def _curves(chapter: Chapter) -> Panel:
    cells = _cells(pl.concat([chapter.places.levels, chapter.places.clean]))
    levels = chapter.places.levels.select("shift", "severity").unique().sort("severity")
    shots: Shots = {}
    for name in _ordered_shifts(chapter, levels):
        severities = levels.filter(pl.col("shift") == name)["severity"]
        places: dict[_Position, float] = {("identity", 0.0): 0.0} | {(name, level): level for level in severities}
        title = chapter.titles.of("shifts", name)
        shots[name] = {
            measure.name: figures.curves(_lines(chapter, cells, measure, places), measure, title)
            for measure in chapter.measures
        }
    note = "Severity 0 is the clean set. Bands are 95% intervals over resampled samples."
    titles = {name: chapter.titles.of("shifts", name) for name in shots}
    return panel(chapter, "curves", ("Severity curves", note), [_metrics(chapter)], shots, titles)


def _domains(chapter: Chapter) -> Panel:
    cells = _cells(pl.concat([chapter.places.domains, chapter.places.clean]))
    shifts = _ordered_shifts(chapter, chapter.places.domains)
    places: dict[_Position, str] = {("identity", 0.0): _CLEAN} | {
        (name, 0.0): chapter.titles.of("shifts", name) for name in shifts
    }
    by_metric = {
        measure.name: figures.points(_lines(chapter, cells, measure, places), measure, "")
        for measure in chapter.measures
    }
    note = "Other data over shared classes, beside the benchmark's own clean set. Bars are 95% intervals."
    shots = {"domain shifts": by_metric} if shifts else {}
    return panel(chapter, "domains", ("Domain shifts", note), [_metrics(chapter)], shots)


def _ordered_shifts(chapter: Chapter, rows: pl.DataFrame) -> list[str]:
    """Shifts of some rows, in the order in which params names them."""
    order: list[str] = list(chapter.params["shifts"])
    names = sorted(rows["shift"].unique().to_list())
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _metrics(chapter: Chapter) -> Ask:
    choices = ((measure.name, f"{measure.title} {measure.arrow}".strip()) for measure in chapter.measures)
    return Ask("metric", tuple(choices))


def _lines(
    chapter: Chapter, cells: _Cells, measure: Measure, at: Mapping[_Position, figures.At]
) -> list[Line[figures.At]]:
    """One line per model; `at` gives the place of a position in the figure."""
    lines = []
    for who in chapter.places.who:
        entries_by_position = cells.get((measure.name, *who), {})
        positions = [position for position in at if position in entries_by_position]
        spots = tuple(at[position] for position in positions)
        entries = tuple(entries_by_position[position] for position in positions)
        lines.append(Line(chapter.styles[chapter.labels[who]], spots, entries))
    return lines


def _cells(rows: pl.DataFrame) -> _Cells:
    """Entries by (metric, model, method) and (shift, severity); a missing severity is 0."""
    cells: _Cells = {}
    for row in rows.with_columns(pl.col("severity").fill_null(0.0)).iter_rows(named=True):
        entries = cells.setdefault((row["metric"], row["model"], row["method"]), {})
        entries[row["shift"], row["severity"]] = Entry.of(row)
    return cells


def _trade(chapter: Chapter) -> Panel:
    """Draw the leading metric on the clean set against its means under shift; one point alone is no race."""
    lead = chapter.places.metrics[:1]
    columns = {column.group: column for column in chapter.columns if column.measure.name in lead}
    shifted = [columns[group] for group in ("corruptions", "domain shifts") if group in columns]
    shots: Shots = {}
    if len(chapter.places.who) > 1:
        shots = {f"mean over {column.group}": {"": _scatter(chapter, columns["clean"], column)} for column in shifted}
    note = "What is gained on the clean set need not be kept under shift: up is robust, right is good on clean data."
    return panel(chapter, "trade", ("Clean against shifted", note), [], shots)


def _scatter(chapter: Chapter, clean: Column, shifted: Column) -> Figure:
    pairs = [
        (chapter.styles[chapter.labels[who]], clean.entries[who], shifted.entries[who])
        for who in chapter.places.who
        if who in clean.entries and who in shifted.entries
    ]
    return figures.scatter(pairs, clean.measure, shifted.measure, f"mean over {shifted.group}")


def _reliability(chapter: Chapter) -> Panel:
    shots: Shots = {}
    pooled = _pooled(chapter)
    for row in chapter.rows:
        if row.who in pooled:
            style = chapter.styles[row.label]
            shots[row.label] = {
                condition: figures.reliability(bins, style, BINS) for condition, bins in pooled[row.who].items()
            }
    conditions = {condition for by_condition in shots.values() for condition in by_condition}
    ordered = sorted(conditions, key=lambda name: (name != _CLEAN, not name.startswith(_ALL), name))
    note = (
        "Accuracy of the samples in each bin of confidence, seeds pooled. On the dotted line confidence is right. "
        "Bars are 95% Agresti-Coull intervals, for which a sample counts once under all its seeds and shifts. "
        f"Bins with fewer than {FEWEST} samples are not drawn. "
        "Below: samples in each bin. ECE is the mean over training seeds."
    )
    ask = Ask("data", tuple((name, name) for name in ordered))
    titles = {label: chapter.styles[label].title for label in shots}
    return replace(panel(chapter, "reliability", ("Reliability", note), [ask], shots, titles), legend=())


def _pooled(chapter: Chapter) -> dict[Who, dict[str, Bins]]:
    """Bins added up over training seeds and shifts, for each model with figures and each condition."""
    table = chapter.tables.reliability
    if table is None or table.is_empty():
        return {}
    cell = pl.struct("reference", "shift", "severity")
    renamed = table.filter(pl.col("step").is_null(), pl.col("split") == chapter.params["split"]).with_columns(
        pl.col("model").replace(chapter.families).alias("family"),
        condition=cell.map_elements(lambda one: _condition(one, chapter.titles), return_dtype=pl.String),
    )
    undefined = certain(chapter.tables)
    pooled: dict[Who, dict[str, Bins]] = {who: {} for who in chapter.places.who}
    for (model, method, condition), rows in renamed.partition_by("family", "method", "condition", as_dict=True).items():
        who = str(model), str(method)
        if who in pooled:
            bins = rows.group_by("bin").agg(pl.col("n", "correct", "confidence_e9").sum()).sort("bin")
            number, n, right, confidence = (tuple(bins[name].to_list()) for name in bins.columns)
            pooled[who][str(condition)] = Bins(
                number,
                n,
                right,
                tuple(sure / E9 for sure in confidence),
                rows.select("model", "shift", "severity").n_unique(),
                None if who in undefined else _ece(rows),
            )
    return {who: bins for who, bins in pooled.items() if bins}  # of other tasks there are none


def _ece(rows: pl.DataFrame) -> float:
    """Expected calibration error of each training seed, its shifts pooled, averaged over seeds."""
    bins = rows.group_by("model", "bin").agg(pl.col("n", "correct", "confidence_e9").sum())
    gaps = bins.with_columns(gap=(pl.col("correct") * E9 - pl.col("confidence_e9")).abs())
    seeds = gaps.group_by("model").agg(pl.col("gap", "n").sum()).sort("model")
    return float(sum(gap / n for _, gap, n in seeds.iter_rows())) / len(seeds) / E9


def _condition(cell: Mapping[str, Any], titles: Titles) -> str:
    if cell["reference"] is None:
        return _CLEAN
    if cell["severity"] is None:
        return titles.of("shifts", cell["shift"])
    return f"{_ALL} at severity {cell['severity']:g}"


def panel(
    chapter: Chapter,
    kind: str,
    head: tuple[str, str],
    asks: Iterable[Ask],
    shots: Shots,
    titles: Mapping[str, str] | None = None,
) -> Panel:
    """Give every figure its place.

    Args:
        chapter: its models can be hidden.
        kind: of the panel, such as `curves`.
        head: title and note.
        asks: the selectors; those with one choice are left out.
        shots: the figures.
        titles: of plots whose name is not their title.
    """
    title, note = head
    titles = titles or {}
    ids = {name: f"plot-{chapter.name}-{kind}-{number}" for number, name in enumerate(shots)}
    return Panel(
        f"{kind}-{chapter.name}",
        kind,
        title,
        note,
        tuple(ask for ask in asks if len(ask.choices) > 1),
        tuple(Plot(ids[name], f"{title} of benchmark {chapter.title}: {titles.get(name, name)}") for name in shots),
        {ids[name]: by_choice for name, by_choice in shots.items()},
        tuple(chapter.styles.values()),
    )
