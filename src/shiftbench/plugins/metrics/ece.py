"""Expected calibration error of the top label, over bins of equal width.

ECE = sum over bins of |right ones in the bin - sum of their confidences| / n: the gap between accuracy
and mean confidence in a bin, weighted by the bin's share of the samples.

Source: Guo et al. 2017, "On calibration of modern neural networks", equation 3, and their code
(temperature_scaling, `_ECELoss`): bin b of B holds confidences in (b/B, (b+1)/B], B = 15.
torchmetrics closes its bins on the left instead; they differ only for confidences on an edge.
ECE of few samples is too high: gaps of a bin that are chance do not cancel; see `intervals.biased`.
"""

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("correct", "confidence_e9")
PARAMS: dict[str, object] = {"bins": 15}
UNIT = "probability"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False
BIASED = True


def reduce(rows: Rows, bins: int) -> Contributions:
    """Each sample adds [right] - confidence, in billionths, to the bin of its confidence.

    Raises:
        ParamsError: `bins` is no whole number above 0.
    """
    if type(bins) is not int or bins < 1:
        raise ParamsError(f"ece: bins is {bins!r}; expected a whole number of 1 at least")
    confidence, counts = rows.column("confidence_e9"), rows.present("correct")
    gap = rows.column("correct") * E9 - confidence * counts
    which = np.maximum((confidence * bins - 1) // E9, 0)
    return Contributions(counts, binned=gap, bins=which, width=bins)


def finish(sums: Sums, bins: int) -> Floats:
    """Sum of the bins' gaps by the number of samples; float64 (k,)."""
    return ratio(np.abs(sums.binned).sum(axis=0), sums.count * E9)
