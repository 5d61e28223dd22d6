"""Metrics of your own; each decorated function is a metric."""

import numpy as np

from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows


def _mean_over_classes(sums: Sums) -> Floats:
    """Mean of the classes' shares; float64 (k,), one per bootstrap resample."""
    wrong, right = sums.binned[::2], sums.binned[1::2]
    shares = ratio(right, wrong + right)
    return ratio(np.nansum(shares, axis=0), np.isfinite(shares).sum(axis=0))


# The columns are those of the records; docs/formats.md lists them.
@declare.sample_metric(columns=("correct", "label"), finish=_mean_over_classes, higher_is_better=True)
def NAME(rows: Rows) -> Contributions:
    """NAME: balanced accuracy, the mean over classes of the share of a class's samples that are correct.

    Source: scikit-learn `balanced_accuracy_score`. Classes without a sample do not count.
    """
    counts = rows.present("correct")
    label = np.maximum(rows.column("label"), 0)
    bins = 2 * label + rows.column("correct")  # each sample adds 1 to the wrong (even) or right (odd) bin of its class
    return Contributions(counts, binned=counts, bins=bins, width=2 * int(label.max(initial=0) + 1))
