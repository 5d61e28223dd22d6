"""How far two ranked lists of one query are apart, and a path metric of it: the clean list against each shifted one."""

from collections.abc import Callable, Sequence

import numpy as np

from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

List = Sequence[str]


def reduce(path: SeverityPath, measure: Callable[[List, List], float]) -> Contributions:
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


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the mean at each severity and the mean of these (None), float64 (k,)."""
    means = [ratio(total / E9, sums.count) for total in sums.sums]
    together = means[0]
    for mean in means[1:]:
        together = together + mean
    return {None: together / len(means), **dict(zip(path.severities[1:], means, strict=True))}


def kendall_distance(one: List, other: List) -> float:
    """Return the share of pairs of documents of both lists that stand in another order; 0 with fewer than two."""
    at = {document: rank for rank, document in enumerate(other)}
    ranks = np.array([at[document] for document in one if document in at])
    if len(ranks) < 2:
        return 0.0
    low, high = np.triu_indices(len(ranks), 1)
    return float(np.mean(ranks[low] > ranks[high]))


def rank_biased_overlap(one: List, other: List, p: float) -> float:
    """Return (1 - p) / (1 - p^k) sum_d p^(d-1) |first d of both| / d over the depth k of the shorter list."""
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


def top_change(one: List, other: List) -> float:
    """Return 1 where the first document is another one."""
    return float(one[:1] != other[:1])
