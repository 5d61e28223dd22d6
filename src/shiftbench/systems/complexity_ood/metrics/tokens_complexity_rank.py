"""Compute allocation: Spearman's correlation, over questions, of complexity with the number of tokens written.

A question at each severity of the shift `complexity` is an item: 1 where each question of more steps gets more tokens
than all of fewer. Who writes as many tokens whatever is asked allocates nothing: 0. Not defined at one severity.

Source: metrics of arXiv 2510.06274's protocol, reconstructed. The first completion counts, as for accuracy.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, SeverityPath
from shiftbench.systems.complexity_ood.metrics import _ranks

KIND = "path"
COLUMNS = ("tokens",)
PARAMS: dict[str, object] = {}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath) -> Contributions:
    """Each sample adds 1 to the pair (severity, tokens) of each of its items; of a sample all items count, or none."""
    written = [_ranks.first(rows.table.column("tokens")) for rows in path.rows[1:]]
    counting = np.prod([rows.counting for rows in path.rows], axis=0)
    counting *= np.all([own > 0 for own in written], axis=0)
    sums = tuple((written[at] == tokens) * counting for at, tokens in _pairs(path))
    return Contributions(counting, sums)


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the correlation, float64 (k,), for the path as a whole (None)."""
    pairs = np.array(_pairs(path)).reshape(-1, 2)
    return {None: _ranks.spearman(pairs[:, 0], pairs[:, 1], sums.sums)}


def _pairs(path: SeverityPath) -> list[tuple[int, int]]:
    """Return which numbers of tokens there are at each severity above 0, as (place in the path, tokens)."""
    columns = [_ranks.first(rows.table.column("tokens")) for rows in path.rows[1:]]
    return [(at, int(one)) for at, own in enumerate(columns) for one in np.unique(own)]
