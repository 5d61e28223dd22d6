"""KNN: squared distance of the feature's direction to its K-th nearest among the training features' directions.

    score = ||z / ||z|| - k_(K)||^2,  k_(1), k_(2), ... the normalised training features in order of their distance

Source: Sun et al. 2022, "Out-of-distribution detection with deep nearest neighbors", section 3.

OpenOOD's `knn`: K = 50, searched over 50 to 1000, squared distance, as here; it adds 1e-10 to each element after the
division, which moves scores by less than the rounding of its float32. pytorch-ood's `KNN` is the square root (the same
order). A feature of zeros stays zero, as in pytorch-ood (OpenOOD: NaN).

A `k` above the number of training samples is an error (`score` raises ParamsError): there is no such neighbour. Scores
are those of float64 whatever the block and batch, see `_neighbours.py`.

`index: exact` reads the training features block by block, memory-mapped. `index: faiss` (the extra `faiss`) holds them
as an IndexFlatL2 in memory, n x d x 4 bytes (1.28 M x 2,048: 10.5 GB), finds candidates there, and gives the same
scores.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _neighbours, _statistics
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features",)
FIT = ("train",)
GRID: dict[str, list[object]] = {"k": [50, 100, 200, 500, 1000]}
FIT_PARAMS = ("index",)


class Options(declare.Options):
    k: int = Field(50, ge=1, description="rank of the neighbour among the training samples")
    index: Literal["exact", "faiss"] = Field(
        "exact", description="search block by block, or in an index in memory (the extra `faiss`)"
    )


def fit(known: Known, params: dict[str, Any]) -> _neighbours.Bank:
    """The training features, checked, and the index where one is asked for."""
    return _neighbours.bank(known.train, params["index"])


def score(rows: Rows, state: _neighbours.Bank, params: dict[str, Any]) -> NDArray[np.float64]:
    """The squared distance, float64 (n,) in [0, 4]; higher = more OOD."""
    k = params["k"]
    if not 1 <= k <= len(state):
        raise ParamsError(
            f"k is {k}; expected 1 to {len(state)}, the number of training samples ({state.rows.name}); set a smaller k"
        )

    def distances(block: Rows) -> NDArray[np.float64]:
        return state.squared_distances(_statistics.directions(_blocks.features(block)), k)

    return _blocks.scores(rows, distances)
