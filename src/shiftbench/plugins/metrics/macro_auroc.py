"""Macro AUROC: mean over classes of the area under the ROC curve of a class's probability, own against the rest.

Source: scikit-learn `roc_auc_score` with `multi_class="ovr"`, `average="macro"` and `sample_weight`; for two classes it
is the area of either. Probabilities are a softmax over all of the model's classes, rounded to billionths. Classes
without a sample, in a draw too, do not count; samples without a label among the model's classes do not either.
Records must hold all logits (`evaluate: {outputs: full}`).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shiftbench.statistics import thresholds
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Sides

KIND = "resampled"
COLUMNS = ("label", "correct", "logits")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: NDArray[np.uint8]) -> Floats:
    """Return the mean area for each draw, float64 (k,), NaN where no class has both sides; weights uint8 (n, k)."""
    known = np.flatnonzero(rows.present("correct"))
    labels = rows.column("label")[known]
    if not len(known):
        return np.full(weights.shape[1], np.nan)
    found, counted = weights[known], _probabilities(rows)[known]
    areas = np.stack([_area(counted, labels, found, label) for label in np.unique(labels)])
    defined = ~np.isnan(areas)
    return ratio(np.where(defined, areas, 0.0).sum(axis=0), defined.sum(axis=0))


def _probabilities(rows: Rows) -> Floats:
    logits = rows.table.column("logits").combine_chunks()
    values = logits.flatten().to_numpy(zero_copy_only=False).astype(np.float64)
    billionths: Floats = np.rint(softmax(values.reshape(len(rows), -1), axis=1) * 1e9)
    return billionths


def _area(probabilities: Floats, labels: NDArray[np.int64], weights: NDArray[np.uint8], label: int) -> Floats:
    own = labels == label
    scores = probabilities[:, label]
    return thresholds.roc_area(Sides(scores[own], scores[~own], weights[own], weights[~own]))
