"""The report's figures: plotly figures without colours of their own, so that the page can be light, dark or printed.

A weights' colour, dash and marker follow from its place in the list of the campaign, the same in
every figure. Text and grid colours are set by the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import plotly.graph_objects as go

from shiftbench.page.leaderboard import Entry
from shiftbench.page.measures import Measure

Figure = dict[str, Any]
At = TypeVar("At")  # a severity, or the name of a shift

# Eight hues that keep apart under the common colour-vision deficiencies, on white and on near-black:
# Okabe and Ito 2008, "Color universal design", with blue lightened, yellow darkened and black made grey.
COLOURS = ("#2a83c9", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6bd1", "#7f7f7f")
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = {  # plotly's markers, and the same as SVG paths around (0, 0) for legends
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "square": "M-3.6-3.6h7.2v7.2h-7.2z",
    "diamond": "M0-5 5 0 0 5-5 0z",
    "triangle-up": "M0-5 4.6 3.6h-9.2z",
    "x": "M-4-2.4-2.4-4 0-1.6 2.4-4 4-2.4 1.6 0 4 2.4 2.4 4 0 1.6-2.4 4-4 2.4-1.6 0z",
    "cross": "M-1.5-4.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "triangle-down": "M0 5-4.6-3.6h9.2z",
    "star": "M0-5 1.3-1.6 4.8-1.5 2 .7 3 4 0 2.1-3 4-2 .7-4.8-1.5-1.3-1.6z",
}

_SHOWN = ("name", "text", "ticktext")
"""Where in a figure names of others are shown."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one weights is drawn everywhere."""

    label: str
    colour: str
    dash: str
    symbol: str

    @property
    def path(self) -> str:
        """The marker as an SVG path around (0, 0)."""
        return SYMBOLS[self.symbol]

    @classmethod
    def of(cls, labels: Sequence[str]) -> dict[str, Style]:
        """Give each label a style; after eight the hues come again with another dash."""
        return {
            label: cls(label, COLOURS[i % 8], DASHES[i // 8 % 4], list(SYMBOLS)[(i + i // 8) % 8])
            for i, label in enumerate(labels)
        }


@dataclass(frozen=True, slots=True)
class Line(Generic[At]):
    """One weights in one figure: entries at positions (severities, or names of shifts)."""

    style: Style
    at: tuple[At, ...]
    entries: tuple[Entry, ...]


def curves(
    lines: Iterable[Line[float]], measure: Measure, title: str, x: str = "severity"
) -> Figure:
    """Draw value over severity with bands of 95% intervals."""
    lines = list(lines)
    traces = [_band(line, measure) for line in lines] + [_line(line, measure) for line in lines]
    ticks = sorted({at for line in lines for at in line.at})
    layout = _layout(title, x, _axis(measure))
    ends = min([*ticks, 0]), max([*ticks, 1])
    room = 0.04 * (ends[1] - ends[0])
    layout["xaxis"] |= {"tickvals": ticks, "range": [ends[0] - room, ends[1] + room]}
    return _figure([trace for trace in traces if trace], layout)


def _line(line: Line[float], measure: Measure) -> go.Scatter:
    return go.Scatter(
        x=list(line.at),
        y=[measure.number(entry.value) for entry in line.entries],
        name=line.style.label,
        mode="lines+markers",
        line={"color": line.style.colour, "dash": line.style.dash, "width": 2},
        marker={"symbol": line.style.symbol, "size": 7},
        text=[_hover(entry, measure) for entry in line.entries],
        hovertemplate="%{text}<extra>%{fullData.name}</extra>",
    )


def _band(line: Line[float], measure: Measure) -> go.Scatter | None:
    """Return the interval as a closed polygon; points without an interval are left out."""
    kept = [
        (at, e)
        for at, e in zip(line.at, line.entries, strict=True)
        if e.low is not None and e.high is not None
    ]
    if not kept:
        return None
    lows = [measure.number(entry.low) for _, entry in kept]
    highs = [measure.number(entry.high) for _, entry in kept]
    at = [at for at, _ in kept]
    return go.Scatter(
        x=[*at, *reversed(at)],
        y=[*highs, *reversed(lows)],
        name=line.style.label,
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=_clear(line.style.colour),
        hoverinfo="skip",
    )


def points(lines: Iterable[Line[str]], measure: Measure, title: str) -> Figure:
    """Draw one point with its interval per weights and row; rows are names, the first on top."""
    lines = list(lines)
    rows = list(dict.fromkeys(at for line in lines for at in line.at))
    traces = []
    for number, line in enumerate(lines):
        offset = (number - (len(lines) - 1) / 2) * min(0.16, 0.7 / max(1, len(lines)))
        traces.append(_points(line, measure, [rows.index(at) + offset for at in line.at]))
    layout = _layout(title, _axis(measure), "")
    layout["yaxis"] |= {
        "tickvals": list(range(len(rows))),
        "ticktext": rows,
        "range": [len(rows) - 0.5, -0.5],
    }
    layout["margin"] |= {"l": 150}
    layout["height"] = 110 + len(rows) * max(46, 14 * len(lines))
    return _figure(traces, layout)


def _points(line: Line[str], measure: Measure, y: list[float]) -> go.Scatter:
    return go.Scatter(
        x=[measure.number(entry.value) for entry in line.entries],
        y=y,
        name=line.style.label,
        mode="markers",
        marker={"color": line.style.colour, "symbol": line.style.symbol, "size": 9},
        error_x=_error(line.entries, measure),
        text=[_hover(entry, measure) for entry in line.entries],
        hovertemplate="%{text}<extra>%{fullData.name}</extra>",
    )


def _error(entries: Sequence[Entry], measure: Measure) -> dict[str, Any]:
    def arm(entry: Entry, end: float | None) -> float:
        value, tip = measure.number(entry.value), measure.number(end)
        return 0.0 if value is None or tip is None else abs(tip - value)

    return {
        "type": "data",
        "symmetric": False,
        "array": [arm(entry, entry.high) for entry in entries],
        "arrayminus": [arm(entry, entry.low) for entry in entries],
        "thickness": 1.5,
        "width": 3,
    }


def scatter(
    pairs: Iterable[tuple[Style, Entry, Entry]],
    across: Measure,
    up: Measure,
    title: str,
    axes: tuple[str, str] = ("clean", "shifted"),
    slope: float | None = None,
) -> Figure:
    """Draw one point per weights: a value on the clean set against one under shift, both with intervals.

    A `slope` draws a line through the origin, up to the last point.
    """
    x, y = axes
    pairs = list(pairs)
    ends = [across.number(one.value) for _, one, _ in pairs]
    far = max((end for end in ends if end is not None), default=0.0)
    traces = [] if slope is None else [_through_origin(slope, far)]
    traces += [
        go.Scatter(
            x=[across.number(one.value)],
            y=[up.number(two.value)],
            name=style.label,
            mode="markers",
            marker={"color": style.colour, "symbol": style.symbol, "size": 11},
            error_x=_error([one], across) | {"color": _clear(style.colour, 0.5)},
            error_y=_error([two], up) | {"color": _clear(style.colour, 0.5)},
            text=[f"{x} {_hover(one, across)}<br>{y} {_hover(two, up)}"],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
        )
        for style, one, two in pairs
    ]
    layout = _layout(title, f"{x} {_axis(across)}", f"{y} {_axis(up)}")
    return _figure(traces, layout | {"height": 360})


def _through_origin(slope: float, far: float) -> go.Scatter:
    return go.Scatter(
        x=[0, far],
        y=[0, slope * far],
        name=f"{slope:g} of it",
        mode="lines",
        line={"dash": "dot", "width": 1.5, "color": COLOURS[-1]},
        hoverinfo="skip",
    )


def risks(lines: Iterable[tuple[Style, Sequence[float], Sequence[float]]], title: str) -> Figure:
    """Draw risk over coverage, shares in [0, 1], one line per detector."""
    traces = [
        go.Scatter(
            x=_percent(coverage),
            y=_percent(risk, 2),
            name=style.label,
            mode="lines",
            line={"color": style.colour, "dash": style.dash, "width": 1.6},
            hovertemplate="risk %{y}% at coverage %{x}%<extra>%{fullData.name}</extra>",
        )
        for style, coverage, risk in lines
    ]
    layout = _layout(title, "coverage, %", "risk, %")
    layout["yaxis"] |= {"rangemode": "tozero"}
    return _figure(traces, layout | {"height": 400})


def roc_frame() -> Figure:
    """Draw what all ROC curves have in common; the second line is to be filled in, see `filled`."""
    ideal = {"dash": "dot", "width": 1.5, "color": COLOURS[-1]}
    hover = "%{y}% of OOD samples are flagged<br>at %{x}% of ID samples<extra></extra>"
    line = {"color": COLOURS[1], "width": 2}
    traces = [
        go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line=ideal, hoverinfo="skip"),
        go.Scatter(mode="lines", line=line, hovertemplate=hover),
    ]
    layout = _layout(" ", "ID samples flagged (FPR), %", "OOD samples flagged (TPR), %")
    layout["xaxis"] |= {"range": [-1, 101]}
    layout["yaxis"] |= {"range": [-1, 101]}
    return _figure(traces, layout | {"height": 340})


def histogram_frame() -> Figure:
    """Draw what all histograms have in common: bars of ID and of OOD samples, to be filled in, see `filled`."""
    traces = [
        go.Bar(
            name=name,
            marker={"color": _clear(colour, 0.6), "line": {"width": 0}},
            hovertemplate="%{y}% at %{x:.4g}<extra>%{fullData.name}</extra>",
        )
        for name, colour in (("ID", COLOURS[0]), ("OOD", COLOURS[1]))
    ]
    layout = _layout(" ", "score (higher = more OOD)", "share of samples, %")
    layout |= {"barmode": "overlay", "bargap": 0, "height": 340, "showlegend": True}
    layout["legend"] = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}  # fmt: skip
    return _figure(traces, layout)


def filled(title: str, *traces: dict[str, Any]) -> Figure:
    """Return what one figure adds to a common frame: its title, and values of each trace.

    The frame stands beside the figures under the choice "", so that what they have in common is on the page once.
    """
    return {"title": title, "traces": list(traces)}


def roc(title: str, false: Sequence[float], true: Sequence[float]) -> Figure:
    """Fill in a ROC curve; rates in [0, 1], from (0, 0) on."""
    return filled(title, {}, {"x": _percent(false), "y": _percent(true)})


def histogram(
    title: str, edges: Sequence[float], id: Sequence[float], ood: Sequence[float]
) -> Figure:
    """Fill in a histogram; lower edges of bins of equal width, and the shares of both sides in them."""
    width = float(f"{edges[1] - edges[0]:.6g}") if len(edges) > 1 else 1.0
    bins = {"x0": float(f"{edges[0] + width / 2:.6g}"), "dx": width}
    return filled(title, *({**bins, "y": _percent(side)} for side in (id, ood)))


def _percent(shares: Sequence[float], digits: int = 1) -> list[float]:
    return [round(100 * share, digits) for share in shares]


def reliability(rows: Sequence[tuple[int, int, float]], style: Style, count: int) -> Figure:
    """Draw accuracy over confidence in bins, with the share of samples in each bin below.

    Args:
        rows: per bin that holds samples: samples, right ones, sum of confidences.
        style: of the weights.
        count: number of bins over [0, 1].
    """
    total = sum(n for n, _, _ in rows) or 1
    confidence = [100 * sure / n for n, _, sure in rows]
    accuracy = [100 * right / n for n, right, _ in rows]
    shares = [100 * n / total for n, _, _ in rows]
    text = [
        f"{n:,} samples<br>accuracy {a:.1f}%<br>confidence {c:.1f}%"
        for (n, _, _), a, c in zip(rows, accuracy, confidence, strict=True)
    ]
    hover = {"text": text, "hovertemplate": "%{text}<extra></extra>"}
    line, marker = {"color": style.colour, "width": 2}, {"symbol": style.symbol, "size": 7}
    bars = {
        "width": 60 / count,
        "marker": {"color": _clear(style.colour, 0.45)},
        "yaxis": "y2",
        "textposition": "none",
    }
    ideal = {"dash": "dot", "width": 1.5, "color": COLOURS[-1]}
    traces = [
        go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line=ideal, hoverinfo="skip"),
        go.Bar(x=confidence, y=shares, **bars, **hover),
        go.Scatter(
            x=confidence, y=accuracy, mode="lines+markers", line=line, marker=marker, **hover
        ),
    ]
    layout = _layout(style.label, "confidence, %", "accuracy, %")
    layout["xaxis"] |= {"range": [0, 102], "anchor": "y2"}
    layout["yaxis"] |= {"range": [0, 102], "domain": [0.3, 1]}
    layout["yaxis2"] = {"domain": [0, 0.2], "anchor": "x", "rangemode": "tozero", "nticks": 3}
    layout["yaxis2"] |= {"title": {"text": "share, %"}}
    return _figure(traces, layout | {"height": 340})


def _hover(entry: Entry, measure: Measure) -> str:
    interval = measure.interval(entry.low, entry.high)
    count = f"<br>n = {entry.n:,}" if entry.n else ""
    return f"{measure.text(entry.value)}{measure.symbol} {interval}{count}"


def _axis(measure: Measure) -> str:
    unit = "%" if measure.percent else measure.unit
    return f"{measure.title}, {unit}" if unit else measure.title


def _clear(colour: str, alpha: float = 0.16) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def _layout(title: str, x: str, y: str) -> dict[str, Any]:
    return {
        "title": {"text": title, "x": 0.02, "font": {"size": 14}},
        "xaxis": {"title": {"text": x}, "zeroline": False},
        "yaxis": {"title": {"text": y}, "zeroline": False},
        "margin": {"l": 56, "r": 14, "t": 40 if title else 8, "b": 44},
        "height": 280,
        "showlegend": False,
        "hovermode": "closest",
    }


def _figure(traces: list[Any], layout: dict[str, Any]) -> Figure:
    """Check a figure against plotly's schema and return it as JSON values, without plotly's template."""
    figure: Figure = _as_text(go.Figure(traces, layout | {"template": {}}).to_plotly_json())
    return figure


def _as_text(part: Any, key: str = "") -> Any:
    """Return a part of a figure in which names are text: plotly would make a link of `<a href=...>`; lines may end."""
    if isinstance(part, dict):
        return {key: _as_text(value, key) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [_as_text(value, key) for value in part]
    if not isinstance(part, str) or key not in _SHOWN:
        return part
    return part.replace("<", "&lt;").replace("&lt;br>", "<br>")
