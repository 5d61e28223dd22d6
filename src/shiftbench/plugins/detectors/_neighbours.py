"""Distance to the K-th nearest of many vectors of length 1, exactly; helper of knn.

Products in float32 find candidates, a little more than K of them; where rounding leaves open which of them is the
K-th, the few in question are measured again in float64. So the result is that of float64, to its last digits, for any
size of block and batch. Where even the spare candidates leave it open (many training samples at one place), float64
products are taken for those rows.

Memory: two numbers for each candidate of 16,384 rows, and one block of the training features. They are never copied
as a whole: 1.28 M x 2,048 stay memory-mapped.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.plugins.detectors import _statistics
from shiftbench.plugins.detectors._rows import Rows

Floats = NDArray[np.float64]
SPARE = 32
"""Candidates beyond K."""
ROWS = 1024
"""Rows times training samples of a block, at a time: 67 MB of similarities in float32."""
PAIRS = 16_384
"""Pairs measured in float64 at a time."""
ROUNDING = 2.0**-24
"""Relative rounding of float32."""


@dataclass(frozen=True)
class Bank:
    """Training features, of which the directions are compared.

    Attributes:
        rows: with features (n, d).
        index: faiss's, or None.
    """

    rows: Rows
    index: Any = None

    def __len__(self) -> int:
        return len(self.rows)

    def squared_distances(self, queries: Floats, k: int) -> Floats:
        """The squared distance of each query to its k-th nearest.

        Args:
            queries: of length 1 (or 0), float64 (n, d).
            k: 1 to len(self).

        Returns:
            float64 (n,) in [0, 4].
        """
        count = min(k + SPARE, len(self))
        values, at = self._candidates(queries, count)
        # Of a product in float32: the inputs' rounding, and a sum that wanders (Higham and Mary 2019). Of two: twice.
        margin = 2 * (8 + np.sqrt(queries.shape[1])) * ROUNDING
        kth = values[:, k - 1 : k]
        distances = np.full(values.shape, np.inf)
        row, column = np.nonzero(np.abs(values - kth) <= margin)
        distances[row, column] = self._measured(queries, row, at[row, column])
        distances.sort(axis=1)
        nearer = (values > kth + margin).sum(axis=1)
        result: Floats = distances[np.arange(len(queries)), k - 1 - nearer]
        undecided = np.flatnonzero((values[:, -1:] >= kth - margin).ravel() & (count < len(self)))
        if len(undecided):
            neighbours = _search(self.rows, queries[undecided], k)[1][:, -1]
            result[undecided] = self._measured(queries, undecided, neighbours)
        return result

    def _candidates(self, queries: Floats, count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Half of the negative squared distance, up to a constant of the row, and positions, nearest first."""
        if self.index is None:
            return _search(self.rows, queries.astype(np.float32), count)
        distances, at = self.index.search(queries.astype(np.float32), count)
        return -0.5 * distances, at

    def _measured(self, queries: Floats, row: NDArray[np.intp], at: NDArray[np.int64]) -> Floats:
        """The squared distances of pairs of a query and a training sample, float64 (pairs,)."""
        distances = np.empty(len(row))
        for low in range(0, len(row), PAIRS):
            pairs = slice(low, low + PAIRS)
            features = self.rows.features[at[pairs]].astype(np.float64)
            gaps = queries[row[pairs]] - _statistics.directions(features)
            distances[pairs] = np.einsum("nd,nd->n", gaps, gaps)
        return distances


def bank(rows: Rows, index: str) -> Bank:
    """A bank of the directions of the features, after one look at all of them.

    Raises:
        DataError: a feature is not finite, or there are no rows.
        ParamsError: another index, or faiss is not installed.
    """
    if index not in ("exact", "faiss"):
        raise ParamsError(f"index is {index!r}; expected one of exact, faiss")
    flat = _flat(rows.features.shape[1]) if index == "faiss" else None
    for _, features in _statistics.blocks(rows):
        if flat is not None:
            flat.add(_statistics.directions(features).astype(np.float32))
    return Bank(rows, flat)


def _flat(width: int) -> Any:
    try:
        faiss = importlib.import_module("faiss")
    except ImportError as error:
        raise ParamsError(
            "index is 'faiss', which is not installed; pip install 'shiftbench[faiss]', or set index: exact"
        ) from error
    return faiss.IndexFlatL2(width)


def _search(rows: Rows, queries: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The similarities and positions of the `count` nearest, (n, count) each, nearest first.

    Products are of the type of the queries.
    """
    values = np.full((len(queries), count), -np.inf, dtype=queries.dtype)
    at = np.zeros(values.shape, dtype=np.int64)
    low = 0
    for _, features in _statistics.blocks(rows):
        units = _statistics.directions(features).astype(queries.dtype)
        zero = ~units.any(axis=1)
        for first in range(0, len(queries), ROWS):
            part = slice(first, first + ROWS)
            alike = queries[part] @ units.T
            # The squared distance is 1 + |unit|^2 - 2 <query, unit>: a vector of zeros is as near as one at 0.5.
            alike[:, zero] += 0.5
            _keep(values[part], at[part], alike, low)
        low += len(units)
    return values, at


def _keep(values: NDArray[Any], at: NDArray[np.int64], alike: NDArray[Any], low: int) -> None:
    """Merge the similarities of a block, whose first sample is `low`, into the largest so far, in place."""
    import torch  # its selection is several times faster than NumPy's; not needed to plan

    if np.isneginf(values[:, -1]).any():  # not yet as many as are wanted
        new, places = alike, np.broadcast_to(np.arange(alike.shape[1]) + low, alike.shape)
    else:
        new, places = _above(alike, values[:, -1:], low)
    best = torch.topk(torch.from_numpy(np.concatenate([values, new], axis=1)), values.shape[1])
    values[:] = best.values.numpy()
    at[:] = np.take_along_axis(np.concatenate([at, places], axis=1), best.indices.numpy(), axis=1)


def _above(alike: NDArray[Any], least: NDArray[Any], low: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values above the smallest of the row, moved to the left and filled up with -inf, and their positions."""
    hits = np.flatnonzero(alike > least)
    row, column = np.divmod(hits, alike.shape[1])
    counts = np.bincount(row, minlength=len(alike))
    place = np.arange(len(hits)) - np.repeat(np.cumsum(counts) - counts, counts)
    new = np.full((len(alike), counts.max()), -np.inf, dtype=alike.dtype)
    places = np.zeros(new.shape, dtype=np.int64)
    new[row, place], places[row, place] = alike.ravel()[hits], column + low
    return new, places
