"""Relative accuracy drop: the accuracy that a shift costs, as a share of the clean accuracy.

The rows are those of `accuracy_drop`: a row with a severity is the drop there, a row of a shift without one the
mean over its severities, the row without a shift the mean over the shifts. Nets of other clean accuracy can be
compared, which the drop itself mixes up. Not defined where nothing is right.

Source: the relative drop beside ImageNet-E's (arXiv 2303.17096) dropped accuracy; paired as `accuracy_drop`.
"""

from shiftbench.plugins.metrics import accuracy_drop
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Row

KIND = "curve"
PARAMS = accuracy_drop.PARAMS
UNIT = "share of the clean accuracy"
RANGE = (None, 1.0)
HIGHER_IS_BETTER = False


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return accuracy_drop.sources(params)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return the relative drops at each severity, per shift, and over all shifts.

    Raises:
        ParamsError: a clean row is not there.
    """
    clean = {
        (_who(row), row.condition): row
        for row in rows
        if row.metric == of and row.reference is None and row.group is None and row.step is None
    }
    drops = accuracy_drop.compute(rows, of)
    return [drop.derived([drop], ratio(drop.all, clean[_who(drop), str(drop.reference)].all)) for drop in drops]


def _who(row: Row) -> tuple[str | None, ...]:
    return row.model, row.method, row.detector, row.dataset, row.split
