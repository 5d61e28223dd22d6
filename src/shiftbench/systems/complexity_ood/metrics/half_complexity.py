"""Half complexity c50: where fitted accuracy, corrected for chance, falls below half of that up to the threshold.

The fit is a logistic of c, of (acc(c) - chance) / (1 - chance), each point weighed by its questions; ID is the fit's
mean over the complexities up to the threshold; half an answer is `added` to the right and to the wrong ones of each
point, as for the slope. A real number: the fit is solved, not looked up. One that does not fall
so far by the largest complexity that was tested has that plus one.

Source: metrics of arXiv 2510.06274's protocol, reconstructed.
"""

from collections.abc import Mapping

import numpy as np

from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.complexity_ood.metrics import _logistic, _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy", "threshold": 2, "chance": {}, "added": 0.5}
UNIT = "step"
RANGE = (0.0, None)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, threshold: float, chance: Mapping[str, float], added: float) -> list[Row]:
    """Return one row per curve whose dataset `chance` names."""
    return [
        curve.row(half(curve, threshold, chance, added))
        for curve in _points.curves(rows, of)
        if curve.rows[0].dataset in chance
    ]


def half(curve: _points.Curve, threshold: float, chance: Mapping[str, float], added: float) -> Floats:
    """Return the complexity at half of the value up to the threshold, float64 (1 + draws,)."""
    x = curve.complexities[:, None]
    shares = _points.corrected(curve.values, chance, curve.rows[0].dataset)
    intercept, slope = fitted = _logistic.fit(x, shares, curve.counts, added)
    known = _logistic.predicted(x, fitted)[curve.below(threshold)].mean(axis=0) / 2
    never = curve.complexities[-1] + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (np.log(known / (1 - known)) - intercept) / slope
    reached = np.where((slope < 0) & (found < never), np.maximum(found, 0), never)
    return np.where(np.isnan(slope), np.nan, reached)
