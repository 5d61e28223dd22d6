"""Compute allocation: Spearman's correlation, over questions, of complexity with the number of tokens written.

It is 1 if each question of more steps gets more tokens than all questions of fewer steps, and 0 for a model that writes
the same number of tokens for each question. The first completion counts, as for accuracy.

Source: metrics of arXiv 2510.06274's protocol, reconstructed; Spearman 1904, as `scipy.stats.spearmanr` on as many
copies of each item, tested.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, Sums
from shiftbench.statistics.rows import Floats, Ints, Rows, SeverityPath
from shiftbench.statistics.thresholds import Weights
from shiftbench.systems.complexity_ood.metrics import _points

AT_ONCE = 250
"""Resamples that are ranked together: for 4,428 items 9 MB an array."""


def _first(lists: pa.ChunkedArray) -> Ints:
    """First number of each list, int64 (n,); 0 if it is not known."""
    numbers: Ints = pc.list_element(lists, 0).fill_null(0).to_numpy().astype(np.int64)
    return numbers


def _pairs(path: SeverityPath) -> list[tuple[int, int]]:
    """Numbers of tokens that occur at each severity above 0, as (index in the path, tokens)."""
    columns = [_first(rows.table.column("tokens")) for rows in path.rows[1:]]
    return [(at, int(tokens)) for at, own in enumerate(columns) for tokens in np.unique(own)]


def _rank(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    pairs = np.array(_pairs(path)).reshape(-1, 2)
    return {None: spearman(pairs[:, 0], pairs[:, 1], sums.sums)}


@declare.path_metric(columns=("tokens",), finish=_rank, higher_is_better=True, unit="correlation", bounds=(-1.0, 1.0))
def tokens_complexity_rank(path: SeverityPath) -> Contributions:
    """Compute allocation: Spearman's correlation, over questions, of complexity with the number of tokens written.

    A question at each severity of the shift `complexity` is an item; of a question all items count, or none. Not
    defined at one severity. Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    written = [_first(rows.table.column("tokens")) for rows in path.rows[1:]]
    counting = np.prod([rows.counting for rows in path.rows], axis=0)
    counting *= np.all([own > 0 for own in written], axis=0)
    return Contributions(counting, tuple((written[at] == tokens) * counting for at, tokens in _pairs(path)))


@declare.resampled_metric(columns=("tokens",), higher_is_better=True, unit="correlation", bounds=(-1.0, 1.0))
def tokens_group_rank(rows: Rows, weights: Weights) -> Floats:
    """Compute allocation by groups: Spearman's correlation, over questions, of complexity with the number of tokens.

    As `tokens_complexity_rank`, for sets whose groups are complexities (`3`, or `3/8` with the number of words).
    Questions of another group, such as `unknown`, do not count.
    Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    groups = rows.table.column("group").to_pylist()
    complexities = np.array([_points.complexity(group) for group in groups], np.float64)
    tokens = _first(rows.table.column("tokens"))
    counting = ~np.isnan(complexities) & (tokens > 0)
    return spearman(complexities[counting], tokens[counting], weights[counting])


def spearman(x: ArrayLike, y: ArrayLike, weights: NDArray[np.integer]) -> Floats:
    """Correlation of x with y in each resample, float64 (k,); equal values share a rank.

    Twice the centred ranks are whole numbers, so that sums of their products are exact and the same on every machine.

    Args:
        x: (n,), of each item.
        y: (n,); if it does not vary, the correlation is 0.
        weights: (n, k), how often each item is there.

    Returns:
        NaN if no item is there, or x does not vary.
    """
    blocks = [weights[:, at : at + AT_ONCE] for at in range(0, weights.shape[1], AT_ONCE)]
    return np.concatenate([_of_block(x, y, block.astype(np.float64)) for block in blocks])


def _of_block(x: ArrayLike, y: ArrayLike, weights: Floats) -> Floats:
    one, other = _centred(x, weights), _centred(y, weights)
    x_squares, y_squares = ((weights * side * side).sum(axis=0) for side in (one, other))
    products, scale = (weights * one * other).sum(axis=0), np.sqrt(x_squares * y_squares)
    correlation = np.divide(products, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.where(x_squares > 0, correlation, np.nan)


def _centred(values: ArrayLike, weights: Floats) -> Floats:
    """Twice the ranks of items less twice the mean rank, float64 (n, k) of whole numbers."""
    distinct, which = np.unique(np.asarray(values), return_inverse=True)
    counts = np.zeros((len(distinct), weights.shape[1]))
    np.add.at(counts, which, weights)
    ranks: Floats = 2 * counts.cumsum(axis=0) - counts - counts.sum(axis=0)
    return ranks[which]
