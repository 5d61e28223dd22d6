"""Illusion index: accuracy over all questions minus that over the quarter that is most complex: what one mean hides.

The quarter is the fewest complexities, from the largest down, that hold a quarter of the questions at least; questions
count alike on both sides.

Source: metrics of arXiv 2510.06274's protocol, reconstructed.
"""

import numpy as np

from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.complexity_ood.metrics import _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy"}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = False
QUARTER = 0.25


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return one row per curve."""
    return [curve.row(hidden(curve)) for curve in _points.curves(rows, of)]


def hidden(curve: _points.Curve) -> Floats:
    """Return the index, float64 (1 + draws,)."""
    levels = np.unique(curve.complexities)
    held = np.array([curve.counts[curve.complexities >= level].sum() for level in levels])
    lowest = levels[held >= QUARTER * curve.counts.sum()].max()
    top = curve.complexities >= lowest
    return _mean(curve, np.ones_like(top)) - _mean(curve, top)


def _mean(curve: _points.Curve, some: Floats) -> Floats:
    found: Floats = np.average(curve.values[some.astype(bool)], axis=0, weights=curve.counts[some.astype(bool)])
    return found
