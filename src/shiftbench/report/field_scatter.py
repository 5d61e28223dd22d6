"""Clean against shifted accuracy of many models on logit axes, with the line of the models without more data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from shiftbench.report.cloud import logit
from shiftbench.report.field_models import CLEAN, REFERENCE, Models, Shift
from shiftbench.report.field_text import DATASETS
from shiftbench.report.figures import COLOURS, INK, Figure, Style
from shiftbench.statistics.effective_robustness import ends

WIDTH, HEIGHT = 640.0, 460.0
SIZES = ((10.0, 1.4), (50.0, 2.0), (150.0, 2.7), (float("inf"), 3.6))
"""Upper limit of the parameters in millions, and the radius in px."""
_TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95, 98)
_SYMBOLS = ("circle", "triangle-up", "square", "diamond", "triangle-down")
_COLOURS = (COLOURS[7], COLOURS[1], COLOURS[0], COLOURS[2], COLOURS[3])
_GRID = 60  # points of the line


def styles(models: Models) -> list[Style]:
    """Colour and shape of each kind of pretraining; a sixth kind has those of the first."""
    return [Style(kind, kind, _COLOURS[at % 5], "solid", _SYMBOLS[at % 5]) for at, kind in enumerate(models.kinds)]


def scatter(models: Models, shift: Shift) -> Figure:
    """The figure of one shift."""
    clean, shifted = 100 * shift.pairs.clean, 100 * shift.pairs.shifted
    x_range, y_range = _range(clean), _range(shifted)
    grid = np.linspace(logit(x_range[0]), logit(x_range[1]), _GRID)
    grid = 1 / (1 + np.exp(-grid))
    line = np.array([ends(shift.line.expected(at, shift.pairs.n)) for at in grid])
    inside = (100 * line >= y_range[0]).all(axis=1) & (100 * line <= y_range[1]).all(axis=1)
    drawn = 100 * line[inside]
    equal = np.linspace(max(x_range[0], y_range[0]), min(x_range[1], y_range[1]), 40)
    series: list[dict[str, Any]] = [
        {"kind": "rule", "name": "equal accuracy", "x": list(equal), "y": list(equal), "colour": INK},
        *_clouds(models, shift, clean, shifted),
        {
            "kind": "line",
            "name": f"line of {REFERENCE}",
            "x": [round(float(x), 3) for x in 100 * grid[inside]],
            "y": [round(float(y), 3) for y in drawn[:, 0]],
            "y_ends": [[round(float(y), 3) for y in drawn[:, side]] for side in (1, 2)],
            "colour": INK,
        },
    ]
    if equal[0] >= equal[-1]:
        series = series[1:]
    return {
        "title": "",
        "width": WIDTH,
        "height": HEIGHT,
        "x": {"title": f"accuracy on {DATASETS[CLEAN]}, %", "digits": 1, **_axis(x_range)},
        "y": {"title": f"accuracy on {shift.title}, %", "digits": 1, **_axis(y_range)},
        "series": series,
    }


def _clouds(models: Models, shift: Shift, clean: Any, shifted: Any) -> Iterator[dict[str, Any]]:
    facts = {row[0]: row[1:] for row in models.table.select("model", "pretraining", "parameters").iter_rows()}
    for style in styles(models):
        own = [at for at, model in enumerate(shift.pairs.models) if facts[model][0] == style.name]
        yield {
            "kind": "cloud",
            "key": style.name,
            "name": style.title,
            "names": [shift.pairs.models[at] for at in own],
            "x": [round(float(clean[at]), 3) for at in own],
            "y": [max(round(float(shifted[at]), 3), _TICKS[0]) for at in own],
            "radii": [radius(facts[shift.pairs.models[at]][1]) for at in own],
            "colour": style.colour,
            "symbol": style.symbol,
            "opacity": 0.5 if style.name == REFERENCE else 0.8,
        }


def radius(parameters: float | None) -> float:
    """Radius of a point in px, from millions of parameters; that of 10 to 50 million where they are not known."""
    if parameters is None:
        return SIZES[1][1]
    return next(size for limit, size in SIZES if parameters < limit)


def _range(percent: Any) -> tuple[float, float]:
    """Ends of an axis: all values, with some room on the scale; values of 0 are at its low end."""
    known = np.clip(percent, _TICKS[0], 99.9) / 100
    low, high = (float(np.log(end / (1 - end))) for end in (known.min(), known.max()))
    room = 0.03 * (high - low)
    return tuple(round(100 / (1 + float(np.exp(-end))), 3) for end in (low - room, high + room))  # type: ignore[return-value]


def _axis(shown: tuple[float, float]) -> dict[str, Any]:
    ticks = [tick for tick in _TICKS if shown[0] <= tick <= shown[1]]
    return {"scale": "logit", "range": list(shown), "ticks": ticks}
