"""Macro F1: mean over classes of the F1 of a class, which is 2 TP / (2 TP + FP + FN).

Source: scikit-learn `f1_score` with `average="macro"`. Classes that occur neither as label nor as prediction do not
count; a class that is only predicted has the F1 0. Samples without a label among the model's classes do not count.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("label", "prediction", "correct")
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Count samples by label and prediction: bin label x classes + prediction."""
    counting = rows.present("correct")
    labels = np.where(counting, rows.column("label"), 0)
    predictions = rows.column("prediction") * counting
    classes = 1 + int(max(labels.max(initial=0), predictions.max(initial=0)))
    return Contributions(counting, binned=counting, bins=classes * labels + predictions, width=classes**2)


def finish(sums: Sums) -> Floats:
    """Mean of F1 over classes; float64 (k,)."""
    classes = round(len(sums.binned) ** 0.5)
    table = sums.binned.reshape(classes, classes, -1)
    right = np.einsum("ccd->cd", table)
    f1 = ratio(2 * right, table.sum(axis=0) + table.sum(axis=1))
    known = ~np.isnan(f1)
    return ratio(np.where(known, f1, 0.0).sum(axis=0), known.sum(axis=0))
