"""What the report's figures show, as dictionaries, which `svg` draws.

A figure has a `title`, a `height` (and a `width`) in px, axes `x` and `y`, and `series`, the first of them drawn first;
`legend` where the names of the series stand in it.

- An axis has a `title` and `digits` (decimals of its numbers). Its span follows from the series unless it has a
  `range`; `ticks` with their `names` replace round numbers. With `scale` `logit` it shows percent on a logit scale.
- A series has a `kind` (`line`, `points`, `bars`, `rule`, a thin line to compare with, or `arrow`), `x` and `y` (null:
  a gap; of bars of equal width `x0` and `dx` instead of `x`), intervals `x_ends` and `y_ends` (lower ends, upper ends),
  samples `n`, and its look: `name` (what readers see), `colour`, `dash`, `symbol` (`ring`: a training seed); a `label`
  is written next to it. Its `key` names it in the legend's buttons, which hide it.
- A `cloud` is a series of many points without intervals, each with a radius of `radii` (px). With `names`, each
  point of a series has a name of its own in the CSV.
- `text` has `lines` of text in a `corner`. `below` is a strip under the figure: `series` on the same x axis, with an
  axis `y` of their own and a `height`.

The colour, dash and marker of a model follow from its place in the list of the benchmark, and are the same in
every figure. Names are data and become text, whatever they contain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from shiftbench.report.measures import Entry, Measure
from shiftbench.statistics import intervals

Figure = dict[str, Any]
At = TypeVar("At")  # a severity, or the name of a shift

# Eight hues that keep apart under the common colour-vision deficiencies, on white and on near-black:
# Okabe and Ito 2008, "Color universal design", with blue lightened, yellow darkened and black made grey.
INK = "currentColor"  # that of the text around a figure: of what belongs to no model and to no side
COLOURS = ("#2a83c9", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bd1", "#7f7f7f")
DASHES = {"solid": "", "dash": "8 4", "dot": "2 3", "dashdot": "8 3 2 3"}  # as SVG has them
SYMBOLS = {  # as SVG paths around (0, 0)
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "square": "M-3.6-3.6h7.2v7.2h-7.2z",
    "diamond": "M0-5 5 0 0 5-5 0z",
    "triangle-up": "M0-5 4.6 3.6h-9.2z",
    "x": "M-4-2.4-2.4-4 0-1.6 2.4-4 4-2.4 1.6 0 4 2.4 2.4 4 0 1.6-2.4 4-4 2.4-1.6 0z",
    "cross": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "triangle-down": "M0 5-4.6-3.6h9.2z",
    "star": "M0-5 1.3-1.6 4.8-1.5 2 .7 3 4 0 2.1-3 4-2 .7-4.8-1.5-1.3-1.6z",
}


@dataclass(frozen=True, slots=True)
class Style:
    """How one model is drawn everywhere; `name`: in ids, `title`: for readers."""

    name: str
    title: str
    colour: str
    dash: str
    symbol: str

    @property
    def path(self) -> str:
        """The marker as an SVG path around (0, 0)."""
        return SYMBOLS[self.symbol]

    @property
    def pattern(self) -> str:
        """The dashes as SVG has them."""
        return DASHES[self.dash]

    @classmethod
    def of(cls, titles: Mapping[str, str]) -> dict[str, Style]:
        """Style of each name with a title; after eight names, hues repeat with another dash."""
        return {
            name: cls(name, title, COLOURS[i % 8], list(DASHES)[i // 8 % 4], list(SYMBOLS)[(i + i // 8) % 8])
            for i, (name, title) in enumerate(titles.items())
        }


_ARROW = Style("", "", COLOURS[-1], "solid", "")


@dataclass(frozen=True, slots=True)
class Line(Generic[At]):
    """One model in one figure: entries at positions (severities, or names of shifts)."""

    style: Style
    at: tuple[At, ...]
    entries: tuple[Entry, ...]


def curves(
    lines: Iterable[Line[float]],
    measure: Measure,
    title: str,
    x: str = "severity",
    rings: Iterable[Line[float]] | None = None,
) -> Figure:
    """Draw value over severity with bands of 95% intervals.

    With `rings`, single training seeds, lines have labels at their ends.
    """
    lines = list(lines)
    ticks = sorted({place for line in lines for place in line.at})
    ends = min([*ticks, 0]), max([*ticks, 1])
    room = 0.04 * (ends[1] - ends[0])
    x_axis = {"title": x, "digits": 2, "ticks": ticks, "range": [ends[0] - room, ends[1] + room]}
    series = [
        _series("line", line.style, list(line.at), _values(line.entries, measure))
        | {"y_ends": _ends(line.entries, measure), "n": [entry.n for entry in line.entries]}
        for line in lines
    ]
    if rings is not None:
        series = [one | {"label": one["name"]} for one in series]
        series += [
            _series("points", line.style, list(line.at), _values(line.entries, measure)) | {"symbol": "ring"}
            for line in rings
        ]
        x_axis["names"] = ["clean" if tick == 0 else f"{tick:g}" for tick in ticks]
    return _figure(title, x_axis, _axis(measure), series)


def points(lines: Iterable[Line[str]], measure: Measure, title: str) -> Figure:
    """Draw one point with its interval per model and row; rows are names, the first on top."""
    lines = list(lines)
    rows = list(dict.fromkeys(place for line in lines for place in line.at))
    series = []
    for number, line in enumerate(lines):
        offset = (number - (len(lines) - 1) / 2) * min(0.16, 0.7 / max(1, len(lines)))
        y = [round(rows.index(place) + offset, 3) for place in line.at]
        line_series = _series("points", line.style, _values(line.entries, measure), y)
        series.append(line_series | {"x_ends": _ends(line.entries, measure), "n": [e.n for e in line.entries]})
    names = {"title": "", "ticks": list(range(len(rows))), "names": rows}
    y_axis = names | {"range": [len(rows) - 0.5, -0.5]}
    height = 70 + len(rows) * max(40, 14 * len(lines))
    return _figure(title, _axis(measure), y_axis, series, height) | {"width": 640}


def forest(rows: Sequence[tuple[str, Entry, bool]], measure: Measure, title: str) -> Figure:
    """Draw differences with their intervals, one per row; filled markers are significant, a line is at zero."""
    style = Style("", "difference", COLOURS[0], "solid", "square")
    entries = [entry for _, entry, _ in rows]
    series = _series("points", style, _values(entries, measure), [float(at) for at in range(len(rows))])
    series |= {
        "x_ends": _ends(entries, measure),
        "n": [e.n for e in entries],
        "hollow": [not sure for *_, sure in rows],
    }
    zero = _rule([0, 0], [-0.5, len(rows) - 0.5])
    unit = "percentage points" if measure.percent else measure.unit
    x_axis = {
        "title": f"difference in {measure.title}{f', {unit}' if unit else ''}",
        "digits": 1 if measure.percent else 3,
    }
    names = {"title": "", "ticks": list(range(len(rows))), "names": [name for name, *_ in rows]}
    y_axis = names | {"range": [len(rows) - 0.5, -0.5]}
    return _figure(title, x_axis, y_axis, [zero, series], 60 + 24 * len(rows)) | {"width": 640}


def scatter(  # noqa: PLR0913 - what a figure can show
    pairs: Iterable[tuple[Style, Entry, Entry]],
    across: Measure,
    up: Measure,
    title: str,
    axes: tuple[str, str] = ("clean", "shifted"),
    slope: float | None = None,
    rings: Iterable[tuple[Style, Entry, Entry]] = (),
    arrows: Iterable[Sequence[tuple[Entry, Entry]]] = (),
) -> Figure:
    """Draw one labelled point per model: a value on the clean set against one under shift, both with intervals.

    A `slope` draws a line through the origin, up to the last point. `rings` are single training seeds. `arrows` lead
    from one model to another.
    """
    series = [
        _series("arrow", _ARROW, _values([one for one, _ in ends], across), _values([two for _, two in ends], up))
        for ends in arrows
    ]
    series += [
        _series("points", style, _values([one], across), _values([two], up)) | {"symbol": "ring"}
        for style, one, two in rings
    ]
    series += [
        _series("points", style, _values([one], across), _values([two], up))
        | {"x_ends": _ends([one], across), "y_ends": _ends([two], up), "n": [two.n], "label": style.title}
        for style, one, two in pairs
    ]
    far = max((one["x"][0] for one in series if one["x"][0] is not None), default=0.0)
    if slope is not None:
        series.insert(0, _rule([0, far], [0, slope * far], f"{slope:g} of it"))
    x, y = _axis(across), _axis(up)
    x["title"], y["title"] = f"{axes[0]} {x['title']}", f"{axes[1]} {y['title']}"
    return _figure(title, x, y, series, 340)


def risks(lines: Iterable[tuple[Style, Sequence[float], Sequence[float]]], title: str) -> Figure:
    """Draw risk over coverage, shares in [0, 1], one line per detector."""
    series = [
        _series("line", style, _percent(coverage), _percent(risk, 2)) | {"symbol": ""}
        for style, coverage, risk in lines
    ]
    return _figure(title, _shares("coverage, %"), {"title": "risk, %", "digits": 2}, series, 400)


def roc(
    title: str, false: Sequence[float], true: Sequence[float], fpr: float | None = None, text: Sequence[str] = ()
) -> Figure:
    """Draw a ROC curve.

    Args:
        title: of the figure.
        false: false positive rates in [0, 1], from 0 on.
        true: true positive rates at the same thresholds, in [0, 1].
        fpr: false positive rate at a true positive rate of 95%, which is marked.
        text: lines in the corner.
    """
    series = [_rule([0, 100], [0, 100]), {"kind": "line", "colour": INK, "x": _percent(false), "y": _percent(true)}]
    if fpr is not None:
        at = {"x": _percent([fpr]), "y": [95.0]}
        series.append({"kind": "points", "colour": INK, "symbol": "circle", "name": "95% TPR", **at})
        text = [f"\N{BLACK CIRCLE} {100 * fpr:.1f}% FPR at 95% TPR", *text]
    x, y = (_shares(f"{side} samples flagged ({rate}), %") for side, rate in _RATES)
    figure = _figure(title, x, y, series, 340) | {"width": _HALF}
    return figure | {"text": {"lines": list(text), "corner": "bottom right"}}


_HALF = 460  # px, of a figure with half of a panel's width
_RATES = (("ID", "FPR"), ("OOD", "TPR"))


def histogram(title: str, edges: Sequence[float], id: Sequence[float], ood: Sequence[float]) -> Figure:
    """Draw a histogram; lower edges of bins of equal width, and the shares of both sides in them."""
    width = float(f"{edges[1] - edges[0]:.6g}") if len(edges) > 1 else 1.0
    bins = {"kind": "bars", "x0": float(f"{edges[0] + width / 2:.6g}"), "dx": width}
    series = [
        bins | {"name": name, "colour": colour, "y": _percent(side)}
        for name, colour, side in (("ID", COLOURS[0], id), ("OOD", COLOURS[1], ood))
    ]
    x_axis = {"title": "score (higher = more OOD)", "digits": 4}
    highest = max(100 * share for side in (id, ood) for share in side)
    y_axis = {"title": "share of samples, %", "digits": 1, "range": [0, 1.2 * highest or 1]}  # room for the legend
    return _figure(title, x_axis, y_axis, series, 340) | {"legend": True, "width": _HALF}


FEWEST = 10
"""Samples that a bin of confidence must have to be drawn."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Confidence against correctness, in bins of equal width over [0, 1].

    Attributes:
        number, n, right: of each bin that has samples: its number, its samples, the correct ones.
        confidence: sum of their confidences.
        evaluations: how often a sample may be counted: under each training seed and shift.
        ece: expected calibration error, in [0, 1]; None: not defined.
    """

    number: tuple[int, ...]
    n: tuple[int, ...]
    right: tuple[int, ...]
    confidence: tuple[float, ...]
    evaluations: int = 1
    ece: float | None = None


def reliability(bins: Bins, style: Style, count: int) -> Figure:
    """Draw accuracy over confidence in bins of enough samples, and below it the number of samples in each bin.

    Intervals are Agresti and Coull's. All counts of one sample, under other seeds and shifts, are one sample there.

    Args:
        bins: see there.
        style: of the model.
        count: number of bins over [0, 1].
    """
    drawn = [at for at, n in enumerate(bins.n) if n >= FEWEST]
    n, right = (np.array([values[at] for at in drawn], dtype=np.float64) for values in (bins.n, bins.right))
    ends = intervals.of_counts(right / bins.evaluations, n / bins.evaluations)
    x = _percent([bins.confidence[at] / bins.n[at] for at in drawn])
    line = _series("line", style, x, _percent((right / n).tolist())) | {"symbol": ""}
    points = line | {
        "kind": "points",
        "symbol": style.symbol,
        "y_ends": [_percent(side.tolist()) for side in ends],
        "n": [bins.n[at] for at in drawn],
    }
    total, left_out = sum(bins.n), sum(n for n in bins.n if n < FEWEST)
    text = [] if bins.ece is None else [f"ECE {100 * bins.ece:.1f}%"]
    text += [f"{left_out:,} of {total:,} not drawn"] if left_out else []
    counts = dict(zip(bins.number, bins.n, strict=True))
    bars: dict[str, Any] = {"kind": "bars", "key": style.name, "name": "samples", "colour": style.colour}
    bars |= {"x0": round(50 / count, 3), "dx": round(100 / count, 3), "y": [counts.get(at, 0) for at in range(count)]}
    figure = _figure(
        style.title, _shares("confidence, %"), _shares("accuracy, %"), [_rule([0, 100], [0, 100]), line, points], 270
    )
    strip = {"y": {"title": "samples", "digits": 0}, "series": [bars], "height": 56}
    return figure | {"text": {"lines": text, "corner": "top left"}, "below": strip}


# ---------------------------------------------------------------------------------------- parts


def _series(kind: str, style: Style, x: Sequence[float | None], y: Sequence[float | None]) -> dict[str, Any]:
    look = {"key": style.name, "name": style.title}
    look |= {"colour": style.colour, "dash": style.dash, "symbol": style.symbol}
    return {"kind": kind, **look, "x": x, "y": y}


def _rule(x: Sequence[float], y: Sequence[float], name: str = "") -> dict[str, Any]:
    return {"kind": "rule", "name": name, "colour": COLOURS[-1], "x": x, "y": y}


def _values(entries: Iterable[Entry], measure: Measure) -> list[float | None]:
    return [_rounded(measure.number(entry.value)) for entry in entries]


def _ends(entries: Sequence[Entry], measure: Measure) -> list[list[float | None]]:
    return [
        [_rounded(measure.number(entry.low)) for entry in entries],
        [_rounded(measure.number(entry.high)) for entry in entries],
    ]


def _rounded(value: float | None) -> float | None:
    """Keep what a figure can show: five digits."""
    return None if value is None else float(f"{value:.5g}")


def _percent(shares: Sequence[float], digits: int = 1) -> list[float]:
    return [round(100 * share, digits) for share in shares]


def _axis(measure: Measure) -> dict[str, Any]:
    unit = "%" if measure.percent else measure.unit
    title = f"{measure.title}, {unit}" if unit else measure.title
    return {"title": title, "digits": 1 if measure.percent else 3}


def _shares(title: str) -> dict[str, Any]:
    return {"title": title, "digits": 1, "range": [-1, 101]}


def _figure(
    title: str, x: Mapping[str, Any], y: Mapping[str, Any], series: list[dict[str, Any]], height: int = 270
) -> Figure:
    return {"title": title, "height": height, "x": x, "y": y, "series": series}
