"""Area under a metric's curve over severity, from the clean set at 0 to the highest level, by its width.

Trapezoids over the levels that were run, divided by the highest level: the mean of the metric over severity, in
its unit. A row with a shift is that shift's area, the row without one the mean over the shifts.

Source: the trapezoid rule as in scikit-learn's `auc`. Needs the clean row and one level.
"""

from shiftbench.statistics import severity_curves
from shiftbench.statistics.rows import Floats, Row
from shiftbench.statistics.severity_curves import Curve

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy"}
UNIT = "that of the metric"
RANGE = (None, None)
HIGHER_IS_BETTER = True  # of the default, accuracy


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return the area per shift and its mean, for all weights."""
    results: list[Row] = []
    for shifts in severity_curves.curves(rows, of).values():
        areas = [curve.row(_area(curve, curve.clean)) for curve in shifts.values() if curve.clean is not None]
        results += areas
        if areas:
            results.append(severity_curves.mean(areas, [row.all for row in areas]))
    return results


def _area(curve: Curve, clean: Row) -> Floats:
    last, before = 0.0, clean.all
    area = before * 0
    for severity, row in curve.rows.items():
        area = area + (severity - last) * (before + row.all) / 2
        last, before = severity, row.all
    return area / last
