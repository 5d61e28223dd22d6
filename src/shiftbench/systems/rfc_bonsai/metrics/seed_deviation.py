"""Deviation over training seeds: how much a metric varies from one training to the next, with n - 1 seeds below.

One row for each row of the metric `of` that is a mean over seeds, and not defined for one seed. In each draw the seeds
are drawn with replacement, beside the samples; as many seeds drawn from few vary less than new ones would, so that an
interval lies too low, of all weights alike.

Source: the +- of the tables of RFC, Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516 (there over 10 or 5 runs).
"""

import numpy as np

from shiftbench.base.refs import without_seed
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


class Options(declare.Options):
    of: fields.Of = "worst_group_accuracy"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """One row for each place that several seeds have, under the weights' name without a seed."""
    places: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.metric == of and row.seed is not None:
            name = without_seed(row.model)[0]
            place = row.benchmark, name, row.method, row.dataset, row.split, row.shift
            places.setdefault((*place, row.severity, row.group, row.step), []).append(row)
    return [_deviation(of_seeds) for of_seeds in places.values() if len(of_seeds) > 1]


def _deviation(of_seeds: list[Row]) -> Row:
    rows = sorted(of_seeds, key=lambda row: row.seed or 0)
    values = np.stack([row.all for row in rows])
    count, resamples = values.shape
    words = RandomStream(0, "seed_deviation", "seeds", str(count))
    which = words.integers(0, count, (resamples, count))
    which[0] = np.arange(count)
    drawn: Floats = values[which.T, np.arange(resamples)[None, :]].std(axis=0, ddof=1)
    name = without_seed(rows[0].model)[0]
    return rows[0].derived(rows, drawn, model=name, seed=None)
