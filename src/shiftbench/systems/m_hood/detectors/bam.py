"""BAM: distance of the features to the nearest box around a cluster of the training features of the predicted class.

    score = min over j of sum over d of max(lo_jd - z_d, 0) + max(z_d - hi_jd, 0)

Box j = [lo_j, hi_j] holds the j-th cluster of k-means (k-means++, seed 0) among the training features that the model
puts into the class; there are round(n / `per_cluster`) of them. In a class without boxes every sample is rejected: its
score is `UNSEEN`.

Source: Wu et al. 2023, "BAM: box abstraction monitors for real-time OoD detection in object detection" (the authors'
`bm-yolo`: one cluster for 50 samples, none for fewer than 50, which are the defaults); box abstraction is Henzinger,
Lukina and Schilling 2020, "Outside the box". That BAM enlarges boxes until 95% of ID passes; a threshold on the
distance has the same effect. The first mean of ten starts of k-means that is best is kept. float64 throughout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features",)
FIT = ("train",)
UNSEEN = 1e12
"""Score of what is put into a class without boxes; scores are finite."""
Floats = NDArray[np.float64]
State = dict[int, tuple[Floats, Floats]]


class Options(declare.Options):
    per_cluster: int = Field(50, ge=1, description="training samples for each cluster of a class")
    least: int = Field(50, ge=1, description="training samples below which a class has no boxes")


def fit(known: Known, params: dict[str, Any]) -> State:
    """The boxes of each class that has enough samples: lo and hi, float64 (k, d) each.

    Raises:
        DataError: a feature is not finite, or there are no rows.
        ParamsError: an option below 1.
    """
    per_cluster, least = params["per_cluster"], params["least"]
    if per_cluster < 1 or least < 1:
        raise ParamsError(f"bam: per_cluster is {per_cluster} and least {least}; expected 1 or more of each")
    features = np.concatenate([part for _, part in _statistics.blocks(known.train)])
    predictions = known.train.predictions
    boxes_by_class = {}
    for label, count in zip(*np.unique(predictions, return_counts=True), strict=True):
        if count >= least:
            own = features[predictions == label]
            boxes_by_class[int(label)] = boxes(own, max(1, round(len(own) / per_cluster)))
    return boxes_by_class


def boxes(features: Floats, count: int) -> tuple[Floats, Floats]:
    """Bounds lo and hi of the boxes around `count` clusters of features (n, d), float64 (k, d) each; k <= count."""
    from sklearn.cluster import KMeans

    distinct = len(np.unique(features, axis=0))
    means = KMeans(min(count, distinct), init="k-means++", n_init=10, random_state=0)
    cluster = means.fit_predict(features)
    parts = [features[cluster == j] for j in np.unique(cluster)]
    return np.stack([p.min(axis=0) for p in parts]), np.stack([p.max(axis=0) for p in parts])


def score(rows: Rows, state: State, params: dict[str, Any]) -> Floats:
    """The L1 distance to the nearest box of the predicted class, float64 (n,), 0 inside; higher = more OOD."""
    return _blocks.scores(rows, lambda block: _distances(block, state))


def _distances(block: Rows, state: State) -> Floats:
    features = _blocks.features(block)
    distances = np.full(len(features), UNSEEN)
    for label, (low, high) in state.items():
        own = np.flatnonzero(block.predictions == label)
        for j in range(len(low)):
            z = features[own]
            outside = np.maximum(low[j] - z, 0) + np.maximum(z - high[j], 0)
            distances[own] = np.minimum(distances[own], outside.sum(axis=1))
    return distances
