"""How well orders of the same things agree: Kendall's tau, for resampled things too, and the ranks in each resample."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats

FEWEST = 5


def kendall(one: Floats, two: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b between two orders, float64 (1 + resamples,).

    Args:
        one: values of things, float64 (things,).
        two: other values of the same things.
        weights: how often each thing occurs, float64 (things, 1 + resamples); a thing is never paired with itself.
    """
    signs = [np.sign(values[:, None] - values[None, :]) for values in (one, two)]

    def summed(matrix: Floats) -> Floats:
        total: Floats = (weights * (matrix @ weights)).sum(axis=0)
        return total

    with np.errstate(divide="ignore", invalid="ignore"):
        tau: Floats = summed(signs[0] * signs[1]) / np.sqrt(summed(signs[0] ** 2) * summed(signs[1] ** 2))
    return tau


def mean_kendall(table: Floats, names: Sequence[str], seed: int = 0, resamples: int = 1000) -> tuple[Floats, int]:
    """The mean of Kendall's tau over all pairs of columns, and the number of pairs.

    Args:
        table: values of things in columns, float64 (things, columns); NaN: missing. A pair of columns is compared on
            the things that both have, and left out where these are fewer than five.
        names: of the things; resamples draw them.
        seed: of the bootstrap.
        resamples: number of bootstrap resamples.

    Returns:
        float64 (1 + resamples,), and the number of pairs.

    Raises:
        DataError: no two columns have five things in common.
    """
    weights = bootstrap.weights(pa.array(names, pa.string()), resamples, seed).astype(np.float64)
    taus = []
    for one, two in itertools.combinations(table.T, 2):
        both = np.isfinite(one) & np.isfinite(two)
        if both.sum() >= FEWEST:
            taus.append(kendall(one[both], two[both], weights[both]))
    if not taus:
        raise DataError(f"no two columns have {FEWEST} rows in common, so no agreement can be measured")
    mean: Floats = np.mean(taus, axis=0)
    return mean, len(taus)


def ranks(draws: Floats) -> Floats:
    """Ranks of things in the data and in each draw, 1 for the largest, float64 (things, 1 + draws); equal ones share.

    Args:
        draws: values, float64 (things, 1 + draws); a thing whose draws are NaN keeps its value in each draw.
    """
    values = np.where(np.isfinite(draws), draws, draws[:, :1])
    above = np.stack([(values > own).sum(axis=0) + 0.5 * ((values == own).sum(axis=0) - 1) for own in values])
    found: Floats = 1.0 + above
    return found
