"""Probabilities: how good and how well calibrated a model's confidences are."""

from typing import Annotated

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.statistics.contributions import Contributions, Sums, mean_e9, ratio
from shiftbench.statistics.rows import Floats, Rows


def _gap(sums: Sums, bins: int) -> Floats:
    """Sum of the bins' gaps by the number of samples; float64 (k,)."""
    return ratio(np.abs(sums.binned).sum(axis=0), sums.count * E9)


@declare.sample_metric(columns=("nll_e9",), finish=mean_e9, higher_is_better=False, unit="nat", bounds=(0.0, None))
def nll(rows: Rows) -> Contributions:
    """Negative log-likelihood: mean of -log probability of the label, in nats.

    A sample adds at most 562,949.95 nats (2**49 billionths), so that sums stay exact.
    Source: scikit-learn `log_loss`, without its clipping of probabilities at machine epsilon.
    """
    return Contributions(rows.present("nll_e9"), (rows.column("nll_e9"),))


@declare.sample_metric(
    columns=("brier_e9",), finish=mean_e9, higher_is_better=False, unit="squared probability", bounds=(0.0, 2.0)
)
def brier(rows: Rows) -> Contributions:
    """Brier score of several classes: mean over samples of the sum over classes of (probability - [class is label])^2.

    Source: Brier 1950; scikit-learn `brier_score_loss(..., scale_by_half=False)`.
    """
    return Contributions(rows.present("brier_e9"), (rows.column("brier_e9"),))


@declare.sample_metric(
    columns=("correct", "confidence_e9"), finish=_gap, higher_is_better=False, unit="probability", biased=True
)
def ece(rows: Rows, bins: Annotated[int, Field(ge=1, description="number of bins")] = 15) -> Contributions:
    """Expected calibration error of the top label, over bins of equal width.

    ECE = sum over bins of |correct predictions in the bin - sum of their confidences| / n: the gap between accuracy
    and mean confidence in a bin, weighted by the bin's share of the samples. The ECE of few samples is too high,
    because gaps of a bin that are chance do not cancel; see `intervals.biased`.

    Source: Guo et al. 2017, "On calibration of modern neural networks", equation 3, and their code
    (temperature_scaling, `_ECELoss`): bin b of B holds confidences in (b/B, (b+1)/B], B = 15.
    torchmetrics closes its bins on the left instead; they differ only for confidences on an edge.
    """
    if type(bins) is not int or bins < 1:
        raise ParamsError(f"ece: bins is {bins!r}; expected a whole number of 1 at least")
    confidence, counts = rows.column("confidence_e9"), rows.present("correct")
    gap = rows.column("correct") * E9 - confidence * counts
    bin_of = np.maximum((confidence * bins - 1) // E9, 0)
    return Contributions(counts, binned=gap, bins=bin_of, width=bins)
