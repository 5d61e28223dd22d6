"""Deviation over training seeds: how much a metric varies from one training to the next, with n - 1 seeds below.

One row for each row of the metric `of` that is a mean over seeds, and not defined for one seed. In each draw the seeds
are drawn with replacement, beside the samples; as many seeds drawn from few vary less than new ones would, so that an
interval lies too low, of all weights alike.

Source: the +- of the tables of RFC, Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516 (there over 10 or 5 runs).
"""

import numpy as np

from shiftbench.base.refs import without_seed
from shiftbench.base.rng import RandomStream
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {"of": "worst_group_accuracy"}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return one row for each place that several seeds have, under the weights' name without a seed."""
    places: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.metric == of and row.seed is not None:
            name = without_seed(row.model)[0]
            place = row.benchmark, name, row.method, row.dataset, row.split, row.shift
            places.setdefault((*place, row.severity, row.group, row.step), []).append(row)
    return [_deviation(found) for found in places.values() if len(found) > 1]


def _deviation(found: list[Row]) -> Row:
    found = sorted(found, key=lambda row: row.seed or 0)
    values = np.stack([row.all for row in found])
    count, draws = values.shape
    words = RandomStream(0, "seed_deviation", "seeds", str(count))
    which = words.integers(0, count, (draws, count))
    which[0] = np.arange(count)
    drawn: Floats = values[which.T, np.arange(draws)[None, :]].std(axis=0, ddof=1)
    name = without_seed(found[0].model)[0]
    return found[0].derived(found, drawn, model=name, seed=None)
