"""Many points in a figure, as one path for each size: a thousand of them take some 20 kB."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from markupsafe import Markup

_SHAPES = {  # corners around (0, 0), in radii
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "diamond": ((0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)),
    "triangle-up": ((0.0, -1.3), (1.15, 0.9), (-1.15, 0.9)),
    "triangle-down": ((0.0, 1.3), (-1.15, -0.9), (1.15, -0.9)),
}


def logit(percent: float) -> float:
    """Log-odds of percent.

    Example:
        >>> logit(50), round(logit(90), 4)
        (0.0, 2.1972)
    """
    return math.log(percent / (100 - percent))


def paths(series: dict[str, Any], points: Iterable[tuple[float, float, int]]) -> Iterator[Markup]:
    """A path for each radius; circles are round ends of lines without length.

    Args:
        series: of the kind `cloud`, see `figures`.
        points: x and y in px, and the place in the series.
    """
    groups: dict[float, list[tuple[float, float]]] = {}
    for x, y, at in points:
        groups.setdefault(series["radii"][at], []).append((x, y))
    for radius, places in sorted(groups.items(), reverse=True):
        if series["symbol"] == "circle":
            shape = "h0"
            look = Markup('fill="none" stroke="{}" stroke-linecap="round" stroke-width="{:g}" stroke-opacity="{:g}"')
            look = look.format(series["colour"], 2 * radius, series["opacity"])
        else:
            shape = _outline(series["symbol"], radius)
            look = Markup('fill="{}" fill-opacity="{:g}"').format(series["colour"], series["opacity"])
        line = "".join(f"M{x:.1f} {y:.1f}{shape}" for x, y in places)
        yield Markup('<path d="{}" {}/>').format(line, look)


def _outline(symbol: str, radius: float) -> str:
    """A closed shape around the present point, in relative coordinates."""
    corners = [(radius * x, radius * y) for x, y in _SHAPES[symbol]]
    steps = [(x - a, y - b) for (a, b), (x, y) in itertools.pairwise(corners)]
    moves = "".join(f"l{dx:.1f} {dy:.1f}" for dx, dy in steps)
    return f"m{corners[0][0]:.1f} {corners[0][1]:.1f}{moves}z"
