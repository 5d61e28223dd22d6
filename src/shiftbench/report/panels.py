"""The figures of a chapter, in panels: Figure 1, severity curves, domain shifts, reliability."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from shiftbench.data.formats import E9
from shiftbench.report import figures, svg
from shiftbench.report.chapters import Chapter
from shiftbench.report.figures import FEWEST, Bins, Figure, Line, Style
from shiftbench.report.findings import pairs
from shiftbench.report.leaderboard import FIFTEEN, IMAGENET_C, Column, Who, certain, means
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
        folded: `narrow`: on narrow screens; `always`: until a reader opens it; empty: never.
    """

    id: str
    kind: str
    title: str
    note: str
    asks: tuple[Ask, ...]
    plots: tuple[Plot, ...]
    figures: Shots
    legend: tuple[Style, ...]
    folded: str = ""

    @property
    def first(self) -> str:
        """The choice that the selectors show at first; without selectors, that of the first figure."""
        if self.asks:
            return "|".join(ask.choices[0][0] for ask in self.asks)
        return next((choice for shots in self.figures.values() for choice in shots), "")


def panels(chapter: Chapter) -> list[Panel]:
    """Panels of a benchmark that have something to show."""
    panels = (_curves(chapter), _domains(chapter), _reliability(chapter))
    return [panel for panel in panels if panel.plots]


def first_figure(chapter: Chapter) -> Panel | None:
    """Figure 1 of a benchmark: the mean over shifts by severity, and clean against shifted.

    None: there is nothing to compare.
    """
    shifted = chapter.shifted
    shots: Shots = {}
    if shifted is not None:
        place = f"mean over {_over(shifted)}"
        if by_severity := _mean_curves(chapter, shifted):
            shots[place] = {"": by_severity}
        if chapter.clean is not None and len(chapter.places.who) > 1:
            shots["clean against shifted"] = {"": _trade(chapter, chapter.clean, shifted)}
    if not shots or shifted is None:
        return None
    mean = f"mean over {_over(shifted)} by severity" if place in shots else ""
    trade = f"clean data against {'the same mean' if mean else _over(shifted)}"
    alone = mean or trade
    what = f"Left: {mean}. Right: {trade}. " if len(shots) > 1 else f"{alone[0].upper()}{alone[1:]}. "
    seeds = "Small rings are single training seeds. " if chapter.seeds[1:] else ""
    arrows = "Arrows show what one change of a model does. " if pairs(chapter) else ""
    note = f"{what}Bands and bars are 95% intervals. {seeds}{arrows}n = {chapter.n:,}."
    one = panel(chapter, "first", ("Figure 1", note), [], shots)
    return replace(one, legend=())


def _over(column: Column) -> str:
    shifts = {shift for _, _, shift, _ in column.cells}
    if column.group == FIFTEEN or shifts == IMAGENET_C:
        return "the 15 corruptions of ImageNet-C"
    count = len(shifts)
    noun = "shift" if column.group == "corruptions" else "other domain"
    return f"{count} {noun}s" if count > 1 else f"one {noun}"


def _mean_curves(chapter: Chapter, shifted: Column) -> Figure | None:
    """Draw the mean over all shifts at each severity that all have, with a ring for each training seed."""
    measure = shifted.measure
    shifts = sorted({shift for _, _, shift, _ in shifted.cells if shift is not None})
    rows = chapter.places.levels.filter(pl.col("metric") == measure.name, pl.col("shift").is_in(shifts))
    counts = rows.group_by("severity").agg(pl.col("shift").n_unique()).sort("severity")
    severities: list[float] = counts.filter(pl.col("shift") == len(shifts))["severity"].to_list()
    if not severities or shifted.group == "domain shifts":
        return None
    at = {0.0: chapter.clean.entries if chapter.clean else {}} | {
        severity: means(chapter.tables, rows.filter(pl.col("severity") == severity), measure) for severity in severities
    }

    def line(who: Who, style: Style) -> Line[float]:
        places = [severity for severity, entries in at.items() if who in entries]
        return Line(style, tuple(places), tuple(at[severity][who] for severity in places))

    lines = [line(row.who, chapter.styles[row.label]) for row in chapter.rows]
    rings = [
        line(who, replace(chapter.styles[row.label], title=chapter.models[who]))
        for row in chapter.rows
        if len(row.seeds) > 1
        for who, _ in row.seeds
    ]
    return figures.curves(lines, measure, "", rings=rings) | {"height": 380, "width": 560}


PAIRS = 15
"""Differences that a forest plot shows, the largest."""


def forest(chapter: Chapter) -> Panel | None:
    """Differences between models in each column that has intervals; None: there is none."""
    columns = [one for one in chapter.columns if any(d.low is not None for d in one.differences)]
    shots: dict[str, Figure] = {}
    for column in sorted(columns, key=lambda one: one is not chapter.shifted):
        rows = []
        for one in [one for one in column.differences if one.value is not None][:PAIRS]:
            turned = (one.value or 0.0) < 0
            a, b = (one.b, one.a) if turned else (one.a, one.b)
            ends = (None if end is None else (-end if turned else end) for end in (one.low, one.high))
            low, high = sorted(ends, key=lambda end: (end is None, end or 0.0))
            name = f"{chapter.models[a]} \N{MINUS SIGN} {chapter.models[b]}"
            rows.append((name, Entry(abs(one.value or 0.0), low, high, one.n), one.stands))
        shots[column.key] = figures.forest(rows, column.measure, "")
    if not shots:
        return None
    titles = {column.key: f"{column.group}: {chapter.column_title(column)}" for column in columns}
    ask = Ask("column", tuple((key, titles[key]) for key in shots))
    note = (
        "Value of the first model minus that of the second, on the same samples and resamples. Bars are 95% "
        "intervals. "
        f"Filled: significant after Holm's correction for all pairs of the column. At most {PAIRS} pairs, the largest."
    )
    drawn = panel(chapter, "forest", ("Differences between models", note), [ask], {"differences": shots})
    return replace(drawn, legend=())


def _shared(shots: Mapping[str, dict[str, Figure]]) -> None:
    """Give all plots of a panel the same y axis for the same choice."""
    for choice in {choice for by_choice in shots.values() for choice in by_choice}:
        own = [by_choice[choice] for by_choice in shots.values() if choice in by_choice]
        values = [
            value
            for figure in own
            for one in figure["series"]
            for value in itertools.chain(one["y"], *one.get("y_ends", []))
        ]
        for figure in own:
            figure["y"] = {**figure["y"], "range": list(svg.span(values))}


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
    _shared(shots)
    note = (
        "All panels have the same vertical axis. Severity 0 is the clean set. Bands are 95% intervals; a mean over two "
        "training seeds has none."
    )
    if "elastic_transform" in shots:
        note += " With the published constants, elastic transform does not hurt more at each higher severity."
    titles = {name: chapter.titles.of("shifts", name) for name in shots}
    curves = panel(chapter, "curves", ("Severity curves", note), [_metrics(chapter)], shots, titles)
    return replace(curves, folded="narrow")


def _domains(chapter: Chapter) -> Panel:
    cells = _cells(pl.concat([chapter.places.domains, chapter.places.clean]))
    shifts = _ordered_shifts(chapter, chapter.places.domains)
    counts = dict(chapter.places.domains.group_by("shift").agg(pl.col("n").max()).iter_rows())
    places: dict[_Position, str] = {("identity", 0.0): f"{_CLEAN}, n = {chapter.n:,}"} | {
        (name, 0.0): f"{chapter.titles.of('shifts', name)}, n = {counts[name]:,}" for name in shifts
    }
    by_metric = {
        measure.name: figures.points(_lines(chapter, cells, measure, places), measure, "")
        for measure in chapter.measures
    }
    note = "Other data with the same classes, under the benchmark's own clean set. Bars are 95% intervals. "
    note += "The horizontal axis need not begin at zero."
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


def _trade(chapter: Chapter, clean: Column, shifted: Column) -> Figure:
    """Draw the leading metric on the clean set against its mean under shift, with an arrow for each pair of models."""
    rows = [row for row in chapter.rows if row.who in clean.entries and row.who in shifted.entries]
    points = [(chapter.styles[row.label], clean.entries[row.who], shifted.entries[row.who]) for row in rows]
    rings = [
        (replace(chapter.styles[row.label], title=chapter.models[who]), clean.entries[who], shifted.entries[who])
        for row in rows
        if len(row.seeds) > 1
        for who, _ in row.seeds
        if who in clean.entries and who in shifted.entries
    ]
    known = {row.who for row in rows}
    arrows = [
        tuple((clean.entries[who], shifted.entries[who]) for who in (pair.base, pair.treated))
        for pair in pairs(chapter)
        if {pair.base, pair.treated} <= known
    ]
    name = "under corruption:" if shifted.group != "domain shifts" else "other domains:"
    figure = figures.scatter(points, clean.measure, shifted.measure, "", ("clean", name), rings=rings, arrows=arrows)
    return figure | {"height": 380, "width": 460}


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
    return replace(
        panel(chapter, "reliability", ("Reliability", note), [ask], shots, titles), legend=(), folded="always"
    )


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
