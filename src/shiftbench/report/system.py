"""The chapter of a published system: its card, claims with verdicts, measured and reported numbers, and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import polars as pl

from shiftbench.data.claim_formats import ACROSS, UP
from shiftbench.report import figures, links
from shiftbench.report.chapters import ends
from shiftbench.report.figures import Figure, Line, Style
from shiftbench.report.measures import Entry, Measure
from shiftbench.report.panels import Panel, Plot
from shiftbench.report.titles import spell
from shiftbench.statistics.claims.expressions import rows_by_selector
from shiftbench.statistics.claims.metric_rows import KEY, MetricRows, NotEvaluable
from shiftbench.statistics.claims.sentences import sentence
from shiftbench.statistics.claims.statements import parts

CLASSES = {"supported": "good", "refuted": "bad"}
NAMED = 3
"""Largest number of inconclusive claims that the first sentence names."""
_AS_OPERAND = ("mean", "max", "min", "median", "area", "cvar")
_CORRELATIONS = ("spearman", "kendall")
_NO_SEEDS = pl.DataFrame(schema=dict.fromkeys(KEY, pl.String) | {"seed": pl.Int64})
UNITS = {"key": "sample", "seed": "training seed", "dataset": "data set"}
"""Units of claims in words; others by their own name."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim as the page shows it; `rule` is its expression in words, `parts` are the values it is quantified over."""

    name: str
    says: str
    verdict: str
    value: str
    rule: str
    reason: str
    against: bool
    parts: tuple[tuple[str, str, str], ...]

    @property
    def look(self) -> str:
        """CSS class of the verdict."""
        return CLASSES.get(self.verdict, "open")


@dataclass(frozen=True, slots=True)
class System:
    """A card with its tables.

    Attributes:
        card: as the recipe has it, with `slug` and `scale`.
        claims, measured, points: tables of formats CLAIMS, MEASURED and FIGURES.
        about: facts of metrics by name.
        rows: key and `seed` of all metric rows of the run.
    """

    card: Mapping[str, Any]
    claims: pl.DataFrame
    measured: pl.DataFrame
    points: pl.DataFrame
    about: Mapping[str, Mapping[str, Any]]
    rows: pl.DataFrame = field(default_factory=_NO_SEEDS.clone)

    @property
    def source(self) -> str:
        """Venue, year and identifier of the paper."""
        venue, year = self.card["paper"]["venue"], str(self.card["paper"]["year"])
        year_part = () if year in venue else (year,)
        return ", ".join(filter(None, (venue, *year_part, self.card["paper"]["identifier"])))

    @property
    def paper(self) -> str:
        """The address of the paper; empty if its identifier is in no public register."""
        return links.of(self.card["paper"]["identifier"])

    @property
    def repository(self) -> str:
        """The address of the official code; empty if the card names no repository of GitHub."""
        return links.of_repository(self.card["paper"]["repository"] or "")

    @property
    def evidence(self) -> str:
        """What its numbers are: measured here, or released by others."""
        return "released" if self.card["scale"] == "released" else "measured here"

    @property
    def verdicts(self) -> list[Verdict]:
        """The claims in the order of the card; those of other scales last."""
        rows = {row["claim"]: row for row in self.claims.filter(pl.col("part").is_null()).to_dicts()}
        verdicts = [self._verdict(name, rows[name]) for name in self.card["order"] if name in rows]
        return sorted(verdicts, key=lambda one: one.verdict == "not run at this scale")

    def _verdict(self, name: str, row: Row) -> Verdict:
        claim = self.card["claims"][name]
        parts = self.claims.filter((pl.col("claim") == name) & pl.col("part").is_not_null())
        return Verdict(
            name,
            claim["says"],
            row["verdict"],
            self._number(claim["value"], row),
            _rule(claim, row),
            row["reason"] or "",
            claim["against"],
            tuple((part["part"], _verdict_text(part), self._number(claim["value"], part)) for part in parts.to_dicts()),
        )

    def _number(self, expression: Mapping[str, Any] | None, row: Row) -> str:
        """Value with its interval, as far as the expression can have such values."""
        if row.get("seeds") == 2 and row["value"] is not None:  # t has one degree of freedom
            return f"{_number({**row, 'ci_low': None})} (2 seeds: no usable interval)"
        if expression is None or row["ci_low"] is None:
            return _number(row)
        low, high = self._possible(expression)
        return _number({**row, "ci_low": max(low, row["ci_low"]), "ci_high": min(high, row["ci_high"])})

    def _possible(self, expression: Mapping[str, Any]) -> tuple[float, float]:
        """Smallest and largest value that an expression can have."""
        if "metric" in expression:
            names = expression["metric"] if isinstance(expression["metric"], list) else [expression["metric"]]
            ranges = [Measure.of(name, self.about).range for name in names]
            lows, highs = ([low for low, _ in ranges], [high for _, high in ranges])
            return (
                -inf if None in lows else min(low for low in lows if low is not None),
                inf if None in highs else max(high for high in highs if high is not None),
            )
        name, operand, _ = parts(expression)
        if name in _CORRELATIONS:
            return -1, 1
        if name in _AS_OPERAND:
            return self._possible(operand)
        if name == "difference":
            (low, high), (other_low, other_high) = (self._possible(side) for side in operand)
            return low - other_high, high - other_low
        return -inf, inf

    @property
    def finding(self) -> str:
        """One sentence on the verdicts; empty for a rehearsal, which finds nothing."""
        names = {
            verdict: [f"“{spell(one.name)}”" for one in self.verdicts if one.verdict == verdict]
            for verdict in ("supported", "refuted", "inconclusive")
        }
        supported, refuted, inconclusive = names.values()
        count = sum(map(len, names.values()))
        if self.card["scale"] == "smoke":
            return ""
        if not count:
            return "No claim is judged in this configuration."
        every = "The only claim" if count == 1 else f"All {count} claims"
        where = "here" if self.card["scale"] != "released" else "on released numbers"
        if len(inconclusive) == count:
            return f"{every} {'is' if count == 1 else 'are'} inconclusive {where}."
        if len(supported) == count:
            return f"{every} {'holds' if count == 1 else 'hold'} {where}."
        holds = "hold" if len(supported) > 1 else "holds"
        parts = [f"{len(supported) or 'None'} of {f'the {count}' if not supported else count} claims {holds} {where}"]
        parts += [f"refuted: {ends(refuted)}"] if refuted else []
        undecided = ends(inconclusive) if len(inconclusive) <= NAMED else f"{len(inconclusive)} claims"
        parts += [f"inconclusive: {undecided}"] if inconclusive else []
        return f"{'; '.join(parts)}."

    @property
    def counts(self) -> str:
        """Numbers of claims by verdict, in words."""
        verdicts = [verdict.verdict for verdict in self.verdicts]
        return ", ".join(f"{verdicts.count(name)} {name}" for name in dict.fromkeys(verdicts))

    @property
    def reported(self) -> list[tuple[Mapping[str, Any], str]]:
        """The paper's numbers, each with the value measured here, or released, in the same unit; empty if none."""
        measured = {row["number"]: row for row in self.measured.to_dicts()}
        return [
            (
                _with_unit(reported),
                _number(_in(reported, measured[number])) or measured[number]["reason"] if number in measured else "",
            )
            for number, reported in enumerate(self.card["reported"])
        ]

    @property
    def panels(self) -> list[Panel]:
        """The figures of the card that have points."""
        panels = []
        for number, figure in enumerate(self.card["figures"]):
            rows = self.points.filter(pl.col("figure") == number).to_dicts()
            if rows:
                panels.append(self._panel(number, figure, rows))
        return panels

    def _panel(self, at: int, figure: Mapping[str, Any], rows: list[Row]) -> Panel:
        place = f"figure-{at}"
        figure = {**figure, "labels": dict(figure["labels"])}
        colours = _in_order([row["colour"] or "" for row in rows], figure["labels"])
        names = list(dict.fromkeys(_label(colour, figure) for colour in colours))
        styles = Style.of({name: name for name in names})
        plot = _draw(figure, rows, styles, self._measure(figure))
        alt = f"{figure['title']}: {', '.join(filter(None, styles)) or 'values'}"
        legend = tuple(styles.values()) if any(names) else ()
        note = " ".join(
            filter(None, (figure["note"] or "Bars are 95% intervals from the bootstrap.", self._seeds(figure, rows)))
        )
        return Panel(
            f"panel-{at}", "curves", figure["title"], note, (), (Plot(place, alt),), {place: {"all": plot}}, legend
        )

    def _seeds(self, figure: Mapping[str, Any], points: list[Row]) -> str:
        """Sentence on the training seeds behind each value of a figure; empty if no model has seeds."""
        rows = MetricRows(self.rows, np.empty((len(self.rows), 1)))
        open_columns = frozenset(filter(None, (figure["x"], figure.get("colour"))))
        expressions = [one for one in (figure["rows"], figure.get("against")) if one]
        try:
            chosen = [
                selection.identities.select("benchmark", "model", "seed")
                for expression in expressions
                for selection in rows_by_selector(rows, expression, single_seeds=False, open_columns=open_columns)
            ]
        except NotEvaluable:
            return ""
        seeded = self.rows.filter(pl.col("seed").is_not_null()).with_columns(pl.col("model").str.replace(r"-s\d+$", ""))
        counts = seeded.group_by("benchmark", "model").agg(pl.col("seed").n_unique().alias("seeds"))
        of_means = pl.concat(chosen).unique().filter(pl.col("seed").is_null()).join(counts, on=["benchmark", "model"])
        numbers: list[int] = of_means["seeds"].to_list()
        if not numbers:
            return ""
        least, most = min(numbers), max(numbers)
        if least == most:
            without = ", which have no interval" if most == 2 and all(row["ci_low"] is None for row in points) else ""
            return "One training seed." if most == 1 else f"Means of {most} training seeds{without}."
        return f"Each value is a mean of {least} to {most} training seeds."

    def _measure(self, figure: Mapping[str, Any]) -> Measure:
        """Metric of the figure's first selector."""
        expression = figure["rows"]
        while "metric" not in expression:
            _, operand, _ = parts(expression)
            expression = operand[0] if isinstance(operand, list) else operand
        metric = expression["metric"]
        return Measure.of(metric if isinstance(metric, str) else metric[0], self.about)


def _draw(figure: Mapping[str, Any], rows: list[Row], styles: Mapping[str, Style], measure: Measure) -> Figure:
    """Draw a line per label; models trained on several datasets share one."""
    if figure["kind"] == "scatter":
        return _scatter(figure, rows, styles, measure)
    lines: list[Line[Any]] = []
    for name, style in styles.items():
        rows_of_label = [row for row in rows if _label(row["colour"] or "", figure) == name]
        if figure["kind"] == "lines":
            places = sorted((_place(row["x"], figure), n) for n, row in enumerate(rows_of_label))
            order = [rows_of_label[n] for _, n in places]
            lines.append(Line(style, tuple(x for x, _ in places), tuple(_entry(row) for row in order)))
        else:
            by_x = {row["x"] or "": row for row in rows_of_label}
            xs = _in_order(list(by_x), figure["labels"])
            x_labels = tuple(_label(x, figure) for x in xs)
            lines.append(Line(style, x_labels, tuple(_entry(by_x[x]) for x in xs)))
    if figure["kind"] == "lines":
        return figures.curves(lines, measure, "", str(figure["labels"].get(figure["x"], figure["x"])))
    return figures.points(lines, measure, "")


def _scatter(figure: Mapping[str, Any], rows: list[Row], styles: Mapping[str, Style], measure: Measure) -> Figure:
    """Draw a point per label, and the card's line through the origin."""
    by_axis = {
        axis: {_label(row["colour"] or "", figure): _entry(row) for row in rows if row["x"] == axis}
        for axis in (ACROSS, UP)
    }
    pairs = [(style, by_axis[ACROSS][name], by_axis[UP][name]) for name, style in styles.items()]
    axes = str(figure["labels"].get(ACROSS, "clean")), str(figure["labels"].get(UP, "shifted"))
    return figures.scatter(pairs, measure, measure, "", axes, figure.get("slope"))


def _place(x: str | None, figure: Mapping[str, Any]) -> float:
    """Place of a value along the axis: its label, itself, or its index among the labels."""
    label = figure["labels"].get(x)
    if isinstance(label, int | float):
        return float(label)
    try:
        return float(x or "nan")
    except ValueError:
        return float(list(figure["labels"]).index(x)) if x in figure["labels"] else 0.0


def _in_order(names: list[str], labels: Mapping[str, Any]) -> list[str]:
    """Distinct names, those with labels first, in the order of the labels."""
    labelled = [name for name in labels if name in names]
    return labelled + sorted(set(names) - set(labelled))


def _label(name: str, figure: Mapping[str, Any]) -> str:
    short = name.rpartition("/")[2]
    return str(figure["labels"].get(name, figure["labels"].get(short, short)))


def _entry(row: Row) -> Entry:
    return Entry(row["value"], row["ci_low"], row["ci_high"], 0)


def _verdict_text(row: Row) -> str:
    """Verdict and reason."""
    return f"{row['verdict']}: {row['reason']}" if row["reason"] else str(row["verdict"])


def _with_unit(given: Mapping[str, Any]) -> dict[str, Any]:
    """A number of the paper, with percent in the name of its metric if that is its unit."""
    percent = given.get("unit") == "percent" and "%" not in given["metric"]
    return {**given, "metric": f"{given['metric']}, %" if percent else given["metric"]}


def _in(given: Mapping[str, Any], row: Row) -> Row:
    """A measured value in the unit of the paper's number."""
    if given.get("unit") != "percent":
        return row
    return {name: 100 * value if isinstance(value, float) else value for name, value in row.items()}


def _number(row: Row) -> str:
    if row["value"] is None:
        return ""
    ends = f" [{row['ci_low']:.4g}, {row['ci_high']:.4g}]" if row["ci_low"] is not None else ""
    return f"{row['value']:.4g}{ends}".replace("-", "\N{MINUS SIGN}")


def _rule(claim: Mapping[str, Any], row: Row) -> str:
    """The rule of a claim in words: expression, interval and units."""
    interval = f"{100 * row['confidence']:.4g}% interval" if row["confidence"] else ""
    noun = UNITS.get(claim["unit"], claim["unit"])
    seeds = f"{row['seeds']} {noun}s as units" if row["seeds"] else ""
    units = f"{row['units']:,} units" if row.get("units") else ""
    scope = f"of new {noun}s".replace("training seeds", "training runs") if row["seeds"] else "of these models"
    scope = "" if not interval or claim["scale"] == "released" else scope
    return "; ".join(filter(None, (sentence(claim), interval, seeds, units, scope)))
