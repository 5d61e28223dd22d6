"""Spearman's correlation over items, each as often as a draw of the bootstrap has it; equal values share a rank.

Twice the centred ranks are whole numbers, so that sums of their products are exact and the same on every machine.

Source: Spearman 1904; as `scipy.stats.spearmanr` on as many copies, tested.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from shiftbench.statistics.rows import Floats, Ints

AT_ONCE = 250
"""Draws that are ranked together: of 4,428 items 9 MB an array."""


def first(lists: pa.ChunkedArray) -> Ints:
    """Return the first number of each list, int64 (n,); 0 where it is not known."""
    found: Ints = pc.list_element(lists, 0).fill_null(0).to_numpy().astype(np.int64)
    return found


def spearman(x: ArrayLike, y: ArrayLike, weights: NDArray[np.integer]) -> Floats:
    """Return the correlation of x with y under each draw, float64 (k,).

    Args:
        x: (n,), of each item.
        y: (n,); where it does not vary there is no relation: 0.
        weights: (n, k), how often each item is there.

    Returns:
        NaN where nothing is there, and where x does not vary.
    """
    blocks = [weights[:, at : at + AT_ONCE] for at in range(0, weights.shape[1], AT_ONCE)]
    return np.concatenate([_of_block(x, y, block.astype(np.float64)) for block in blocks])


def _of_block(x: ArrayLike, y: ArrayLike, weights: Floats) -> Floats:
    one, other = _centred(x, weights), _centred(y, weights)
    theirs, ours = ((weights * side * side).sum(axis=0) for side in (one, other))
    shared, scale = (weights * one * other).sum(axis=0), np.sqrt(theirs * ours)
    found = np.divide(shared, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.where(theirs > 0, found, np.nan)


def _centred(values: ArrayLike, weights: Floats) -> Floats:
    """Return twice the ranks of items less twice the mean rank, float64 (n, k) of whole numbers."""
    distinct, which = np.unique(np.asarray(values), return_inverse=True)
    held = np.zeros((len(distinct), weights.shape[1]))
    np.add.at(held, which, weights)
    ranks: Floats = 2 * held.cumsum(axis=0) - held - held.sum(axis=0)
    return ranks[which]
