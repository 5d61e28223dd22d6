"""Pearson's correlation of two columns of the records, over the samples that have both.

Not defined for fewer than two samples, and where a column does not vary. Entries name the columns, which are in
billionths.

Source: Pearson 1895, Proceedings of the Royal Society of London 58; as `scipy.stats.pearsonr`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.metrics._moments import Moments
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "resampled"
PARAMS: dict[str, object] = {"columns": ["predicted_risk_e9", "risk_e9"]}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True


def facts(options: Mapping[str, object]) -> dict[str, object]:
    """Return the columns that are read."""
    columns = options["columns"]
    assert isinstance(columns, list)  # noqa: S101 - the type of the default; tells mypy
    return {"COLUMNS": tuple(columns)}


def compute(rows: Rows, weights: NDArray[np.uint8], *, columns: Sequence[str]) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k)."""
    moments = Moments(rows, weights, tuple(columns))
    one, other = moments.centred(0), moments.centred(1)
    scale = np.sqrt(moments.product(one, one) * moments.product(other, other))
    return np.clip(ratio(moments.product(one, other), np.nan_to_num(scale)), -1, 1)
