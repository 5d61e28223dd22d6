"""Ranked lists of documents: how good a list is (columns `*_e9`), and how far a shift moves it.

Metrics of a path compare the clean list of each query with its list at each severity. A row with a severity is the mean
over queries there, the row without one the mean of these.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.plugins import declare, fields
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows, SeverityPath

List = Sequence[str]
E6 = 1_000_000
"""Squares are of millionths, so that sums of them stay exact."""


def mean_of(rows: Rows, column: str) -> Contributions:
    """Each query adds its measure."""
    return Contributions(rows.present(column), (rows.column(column),))


def mean(sums: Sums, **_: object) -> Floats:
    """Mean over queries, float64 (k,)."""
    return ratio(sums.sums[0] / E9, sums.count)


def square_of(rows: Rows, column: str) -> Contributions:
    """Each query adds its measure and the square of it, in millionths."""
    value = (rows.column(column) + 500) // 1000
    return Contributions(rows.present(column), (value, value * value))


def variance(sums: Sums) -> tuple[Floats, Floats]:
    """Mean and variance over queries (divided by n, not by n - 1), float64 (k,) each."""
    first = ratio(sums.sums[0] / E6, sums.count)
    second = ratio(sums.sums[1] / E6 / E6, sums.count)
    return first, np.maximum(second - first * first, 0)


def _column(options: Mapping[str, Any]) -> dict[str, object]:
    return {"COLUMNS": (options["column"],)}


@declare.sample_metric(finish=mean, facts=_column, higher_is_better=True)
def _query_mean(rows: Rows, column: fields.Column = "") -> Contributions:
    """Mean over queries of a measure of each query's list."""
    return mean_of(rows, column)


def _compare(path: SeverityPath, measure: Callable[[List, List], float]) -> Contributions:
    """Each query adds a measure of its clean list and the list at each severity above 0, in billionths."""
    counting = path.rows[0].counting
    lists = [rows.table.column("documents").to_pylist() for rows in path.rows]
    return Contributions(
        counting,
        tuple(
            counting
            * np.array([round(E9 * measure(a, b)) for a, b in zip(lists[0], shifted, strict=True)], dtype=np.int64)
            for shifted in lists[1:]
        ),
    )


def _means(sums: Sums, path: SeverityPath, **_: object) -> dict[float | None, Floats]:
    """Mean at each severity and the mean of these (None), float64 (k,)."""
    means = [ratio(total / E9, sums.count) for total in sums.sums]
    together = means[0]
    for mean in means[1:]:
        together = together + mean
    return {None: together / len(means), **dict(zip(path.severities[1:], means, strict=True))}


@declare.path_metric(columns=("documents",), finish=_means, higher_is_better=False)
def kendall_distance(path: SeverityPath) -> Contributions:
    """Kendall's distance: the share of pairs of documents that a shift puts into another order.

    Pairs are of documents that both lists keep (the first hundred). A list that replaces all of them has the distance
    0; see `rank_biased_overlap`. Source: Kendall 1938, Biometrika 30.
    """
    return _compare(path, reversed_pairs)


def reversed_pairs(one: List, other: List) -> float:
    """Share of pairs of documents of both lists that stand in another order; 0 with fewer than two documents."""
    at = {document: rank for rank, document in enumerate(other)}
    ranks = np.array([at[document] for document in one if document in at])
    if len(ranks) < 2:
        return 0.0
    low, high = np.triu_indices(len(ranks), 1)
    return float(np.mean(ranks[low] > ranks[high]))


@declare.path_metric(columns=("documents",), finish=_means, higher_is_better=True)
def rank_biased_overlap(
    path: SeverityPath,
    p: Annotated[float, Field(gt=0, lt=1, description="weight of each rank relative to the one before")] = 0.9,
) -> Contributions:
    """RBO: how much of its first documents a list keeps under a shift, the first ones counting most.

    Source: Webber, Moffat and Zobel 2010, TOIS 28(4), equation 4, of the lists as deep as they are kept and scaled so
    that equal lists have 1.
    """
    if not 0 < p < 1:
        raise ParamsError(f"rank_biased_overlap: p is {p!r}; expected a number above 0 and below 1")
    return _compare(path, lambda one, other: overlap(one, other, p))


def overlap(one: List, other: List, p: float) -> float:
    """(1 - p) / (1 - p^k) sum_d p^(d-1) |first d of both| / d over the depth k of the shorter list."""
    depth = min(len(one), len(other))
    seen: set[str] = set()
    shared, total, weight, weights = 0, 0.0, 1.0, 0.0
    for rank in range(depth):
        for document in (one[rank], other[rank]):
            shared += document in seen
            seen.add(document)
        total += weight * shared / (rank + 1)
        weights += weight
        weight *= p
    return total / weights if depth else 0.0


@declare.path_metric(columns=("documents",), finish=_means, higher_is_better=False)
def top_change(path: SeverityPath) -> Contributions:
    """Top change: the share of queries whose first document is another one under a shift.

    Source: Goren et al., "Ranking Robustness under Adversarial Document Manipulations", SIGIR 2018.
    """
    return _compare(path, lambda one, other: float(one[:1] != other[:1]))
