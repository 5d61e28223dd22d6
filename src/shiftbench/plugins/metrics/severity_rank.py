"""Rank of severity: Spearman's correlation of a metric with the severity of a shift, the clean value at 0 included.

-1: the metric falls from each severity to the next; equal values share a rank. With `falling` the sign is turned
round. One row per shift, none for domain shifts.

Source: Spearman 1904; as `scipy.stats.spearmanr`, under each draw.
"""

import numpy as np
from scipy.stats import rankdata

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import severity_curves
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy", "falling": False}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, falling: bool) -> list[Row]:  # noqa: FBT001 - an option
    """Return one row per shift and weights.

    Raises:
        ParamsError: a clean row is not there.
    """
    found = []
    for shifts in severity_curves.curves(rows, of).values():
        for curve in shifts.values():
            if curve.clean is None:
                raise ParamsError(
                    f"{curve.first.model} has no clean {of} for {curve.shift}; evaluate the clean set too"
                )
            values = np.stack([row.all for row in (curve.clean, *curve.rows.values())])
            found.append(curve.row(_spearman(-values if falling else values)))
    return found


def _spearman(values: Floats) -> Floats:
    """Return the correlation of values (levels, k) with their order, float64 (k,); NaN where all are equal."""
    ranks = rankdata(values, axis=0)
    order = np.arange(len(values)) - (len(values) - 1) / 2
    apart = ranks - ranks.mean(axis=0)
    with np.errstate(invalid="ignore"):
        whole: Floats = (order @ apart) / np.sqrt((order @ order) * (apart * apart).sum(axis=0))
    return np.where(np.isnan(values).any(axis=0), np.nan, whole)
