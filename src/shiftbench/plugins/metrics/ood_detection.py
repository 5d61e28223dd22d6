"""OOD detection: how well scores tell OOD samples from in-distribution (ID) samples.

Each metric maps `Sides`, OOD positive, to one share per bootstrap resample, float64 (k,). Higher scores mean "more
OOD". Weights are integers, so all counts are exact.
"""

from shiftbench.plugins import declare
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats
from shiftbench.statistics.thresholds import Sides


@declare.detection_metric(higher_is_better=True, paired_test="delong")
def auroc(sides: Sides) -> Floats:
    """Area under the ROC curve of OOD detection: P(OOD score > ID score) + P(equal) / 2.

    The area with ID positive is the same.
    Source: scikit-learn `roc_auc_score` with `sample_weight`; the Mann-Whitney U statistic by the number of pairs.
    """
    return thresholds.roc_area(sides)


@declare.detection_metric(higher_is_better=True)
def aupr_out(sides: Sides) -> Floats:
    """Area under the precision-recall curve of OOD detection, OOD positive.

    It depends on the numbers of ID and OOD samples.
    Source: OpenOOD `metrics.py` (Zhang et al. 2023): scikit-learn's `auc` over `precision_recall_curve`. These are
    trapezoids with one vertex per distinct score and a last one (recall 0, precision 1), not `average_precision_score`.
    """
    return thresholds.pr_area(sides)


@declare.detection_metric(higher_is_better=True)
def aupr_in(sides: Sides) -> Floats:
    """Area under the precision-recall curve of OOD detection, ID positive.

    Recall is the share of ID samples that are accepted, least OOD first. Source: OpenOOD, as `aupr_out`.
    """
    return thresholds.pr_area(sides.flipped())


@declare.detection_metric(higher_is_better=False)
def fpr95(sides: Sides, tpr: thresholds.Tpr = 0.95, rule: thresholds.Rule = "first") -> Floats:
    """Share of ID samples flagged at the threshold that finds 95% of the OOD samples; OOD positive.

    Older papers take ID as positive, which is `fpr95_idpos`. The two differ by tens of points.

    The rules:
    - `first`: the first vertex of the ROC curve, from the highest score down, whose true positive rate reaches `tpr`.
    - `nearest`, `percentile`: as in `fpr95_idpos`, with OOD positive.

    Source: OpenOOD `metrics.py` (Zhang et al. 2023), with scikit-learn's `roc_curve(..., drop_intermediate=False)`.
    """
    return thresholds.false_positive_rate(sides, tpr, rule)


@declare.detection_metric(higher_is_better=False)
def fpr95_idpos(sides: Sides, tpr: thresholds.Tpr = 0.95, rule: thresholds.Rule = "first") -> Floats:
    """Share of OOD samples accepted at the threshold that accepts 95% of the ID samples; ID positive.

    With few ID samples the three rules differ by up to the share of one ID sample:
    - `first`: the first vertex of the ROC curve whose true positive rate reaches `tpr`.
      Source: Hendrycks and Gimpel 2017, with scikit-learn's `roc_curve(..., drop_intermediate=False)`.
    - `nearest`: the vertex whose true positive rate is nearest to `tpr`. Of equally near vertices it is the one with
      the lowest threshold (and at the same rate the one with the most OOD samples), but none after the first vertex
      that accepts all ID samples. Source: `fpr_and_fdr_at_recall` of Hendrycks et al. 2019 (outlier exposure), also in
      COOkeD 2025; MixOE's TNR95 is 1 minus it. We differ: rates are compared exactly, where rounding of |rate - 0.95|
      in float64 decides between equally near vertices in their code.
    - `percentile`: the threshold is the 5th percentile of the ID samples' -score, interpolated between two samples.
      OOD samples strictly above it are accepted. Source: PALM (Lu et al. 2024), `numpy.percentile`.
    """
    return thresholds.false_positive_rate(sides.flipped(), tpr, rule)
