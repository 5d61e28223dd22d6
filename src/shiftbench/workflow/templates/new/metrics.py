"""NAME: balanced accuracy, the mean over classes of the share of a class's samples that are right.

Source: scikit-learn `balanced_accuracy_score`. Classes without a sample do not count.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"  # summed over samples, so that intervals come from weighted sums
COLUMNS = ("correct", "label")  # of the records; docs/formats.md lists them
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True


def reduce(rows: Rows) -> Contributions:
    """Each sample adds 1 to the wrong (even) or right (odd) bin of its class."""
    counts = rows.present("correct")
    label = np.maximum(rows.column("label"), 0)
    bins = 2 * label + rows.column("correct")
    return Contributions(counts, binned=counts, bins=bins, width=2 * int(label.max(initial=0) + 1))


def finish(sums: Sums) -> Floats:
    """Mean of the classes' shares; float64 (k,), one per bootstrap draw."""
    wrong, right = sums.binned[::2], sums.binned[1::2]
    shares = ratio(right, wrong + right)
    return ratio(np.nansum(shares, axis=0), np.isfinite(shares).sum(axis=0))
