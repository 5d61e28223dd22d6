"""Failure detection: how well scores tell wrong predictions from correct ones, on in-distribution samples.

Each metric maps scores float64 (n,), `correct` bool (n,) and weights uint8 (n, k) to shares float64 (k,). Higher scores
mean "trusted less". A value is NaN if all predictions are correct or all are wrong, except for areas of risk.
"""

import numpy as np

from shiftbench.plugins import declare
from shiftbench.statistics import risk_coverage, thresholds
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Flags, Sides, Weights


def sides(scores: Floats, correct: Flags, weights: Weights) -> Sides:
    """Wrong predictions as the positive side, correct ones as the negative side."""
    return Sides(scores[~correct], scores[correct], weights[~correct], weights[correct])


@declare.failure_metric(higher_is_better=True)
def failure_auroc(scores: Floats, correct: Flags, weights: Weights) -> Floats:
    """AUROC of failure detection: P(score of a wrong prediction > that of a correct one) + P(equal) / 2.

    Chance is 0.5. The value does not say how many predictions are wrong; `aurc` does.
    Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples",
    section 2; computed as `auroc`. We differ: wrong predictions are positive (there correct ones are, with the same
    area).
    """
    return thresholds.roc_area(sides(scores, correct, weights))


@declare.failure_metric(higher_is_better=True)
def failure_aupr(scores: Floats, correct: Flags, weights: Weights) -> Floats:
    """Area under the precision-recall curve of failure detection, wrong predictions positive (AUPR-error).

    Chance is the error rate, so only scores of the same predictions can be compared.
    Source: Hendrycks and Gimpel 2017, section 2; computed as `aupr_out`: trapezoids, not average precision.
    """
    return thresholds.pr_area(sides(scores, correct, weights))


@declare.failure_metric(higher_is_better=False)
def failure_fpr95(
    scores: Floats, correct: Flags, weights: Weights, tpr: thresholds.Tpr = 0.95, rule: thresholds.Rule = "first"
) -> Floats:
    """Share of wrong predictions accepted at the threshold that accepts 95% of the correct ones.

    Source: Corbiere et al. 2019, "Addressing failure prediction by learning model confidence", section 4.1 (FPR at 95%
    TPR, correct predictions positive). The computation is that of `fpr95_idpos`.
    """
    return thresholds.false_positive_rate(sides(scores, correct, weights).flipped(), tpr, rule)


@declare.failure_metric(higher_is_better=False)
def aurc(scores: Floats, correct: Flags, weights: Weights) -> Floats:
    """Area under the risk-coverage curve of failure detection: the mean risk over all coverages.

    Samples are accepted from the lowest score up. The risk is the share of wrong predictions among accepted samples.
    The best value is 0. A random score has the error rate, which `eaurc` removes.
    Source: Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", section
    2: the mean over i = 1..n of the risk at coverage i / n, not the trapezoids of later packages. Of equal scores it is
    the expectation over their orders (`statistics.risk_coverage`).
    """
    area = risk_coverage.area(scores, correct, weights)
    return area.mean(area.summed)


@declare.failure_metric(higher_is_better=False)
def eaurc(scores: Floats, correct: Flags, weights: Weights) -> Floats:
    """Excess area under the risk-coverage curve: `aurc` less that of the best score for the same predictions.

    The best score accepts all correct predictions before the wrong ones and has the value 0.
    Source: Geifman, Uziel and El-Yaniv 2019, equation 3. We differ: the best area is the exact sum over the samples,
    not its limit r + (1 - r) log(1 - r) at error rate r.
    """
    area = risk_coverage.area(scores, correct, weights)
    # The two are summed in different orders: the best score may come out 1e-17 below 0.
    return area.mean(np.maximum(area.summed - area.least, 0))
