"""Harmonic mean of the clean and the shifted value of a metric: high only where both are.

2 c s / (c + s). The rows are those of `accuracy_drop`: at a severity; of a shift without one, with the mean of s over
its severities; without a shift, with the mean of s over the shifts (so values are averaged first, then H is taken, as
is the relative drop). Not defined where both are 0; 0 where one is. It hides which of the two is low: show both.

Source: H beside the performance drop (`accuracy_drop_relative`) in RWDS, arXiv:2503.19202; the average over targets
comes first by our convention.
"""

from shiftbench.plugins import declare, fields
from shiftbench.plugins.metrics.severity import accuracy_drop
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Row

KIND = "curve"
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


class Options(declare.Options):
    of: fields.Of = "accuracy"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """The harmonic means at each severity, per shift, and over all shifts.

    Raises:
        ParamsError: a clean row is not there.
    """
    clean = {
        (_who(row), row.condition): row.all
        for row in rows
        if row.metric == of and row.reference is None and row.group is None and row.step is None
    }

    means = []
    for drop in accuracy_drop(rows, of):
        own = clean[_who(drop), str(drop.reference)]
        shifted = own - drop.all

        means.append(drop.derived([drop], ratio(2 * own * shifted, own + shifted)))

    return means


def _who(row: Row) -> tuple[str | None, ...]:
    return row.model, row.method, row.detector, row.dataset, row.split
