"""Classification: shares of correct predictions, over samples, classes and groups.

Samples without a label among the model's classes do not count. In metrics of two classes class 1 is positive and all
others are negative. The score of a sample is its confidence if it is predicted positive, else minus its confidence.
With two classes that rises with the probability of class 1, and equal logits have equal scores.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins import declare
from shiftbench.statistics import thresholds
from shiftbench.statistics.contributions import Contributions, Sums, mean, ratio
from shiftbench.statistics.rows import Floats, Rows
from shiftbench.statistics.thresholds import Sides, Weights

POSITIVE = 1
SCORED = ("label", "prediction", "correct", "confidence_e9")


def _wrong(sums: Sums, **_: object) -> Floats:
    return ratio(sums.count - sums.sums[0], sums.count)


def _mean_recall(sums: Sums) -> Floats:
    wrong, right = sums.binned[0::2], sums.binned[1::2]
    return _mean_over_classes(ratio(right, right + wrong))


def _mean_f1(sums: Sums) -> Floats:
    classes = round(len(sums.binned) ** 0.5)
    table = sums.binned.reshape(classes, classes, -1)
    right = np.einsum("ccd->cd", table)
    return _mean_over_classes(ratio(2 * right, table.sum(axis=0) + table.sum(axis=1)))


def _mean_over_classes(values: Floats) -> Floats:
    """Mean over the first axis of the values that are defined."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0))


def _f1(sums: Sums) -> Floats:
    _, false, missed, true = sums.binned
    return ratio(2 * true, 2 * true + false + missed)


@declare.sample_metric(columns=("correct",), finish=mean, higher_is_better=True)
def accuracy(rows: Rows) -> Contributions:
    """Accuracy: share of samples whose prediction is the label. Source: scikit-learn `accuracy_score`."""
    return Contributions(rows.present("correct"), (rows.column("correct"),))


@declare.sample_metric(columns=("correct",), finish=_wrong, higher_is_better=False)
def error(rows: Rows) -> Contributions:
    """Error: share of samples whose prediction is not the label, 1 - accuracy. Source: scikit-learn `zero_one_loss`."""
    return Contributions(rows.present("correct"), (rows.column("correct"),))


K = Annotated[int, Field(ge=1, description="number of the most probable classes that count as an answer")]


@declare.sample_metric(columns=("label", "correct", "logits"), finish=mean, higher_is_better=True)
def topk_accuracy(rows: Rows, k: K = 5) -> Contributions:
    """Top-k accuracy: share of samples whose label is among the k most probable classes; top-5 as on ImageNet.

    Of equal logits the lower class comes first. Source: scikit-learn `top_k_accuracy_score`. We differ: there the
    higher class comes first.
    """
    return _topk(rows, k)


@declare.sample_metric(columns=("label", "correct", "logits"), finish=_wrong, higher_is_better=False)
def topk_error(rows: Rows, k: K = 5) -> Contributions:
    """Top-k error: share of samples whose label is not among the k most probable classes, 1 - top-k accuracy.

    Source: ImageNet's top-5 error (Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge",
    section 4.1).
    """
    return _topk(rows, k)


def _topk(rows: Rows, k: int) -> Contributions:
    counting = rows.present("correct")
    hits = (rows.top_classes(k) == rows.column("label")[:, None]).any(axis=1)
    return Contributions(counting, (hits * counting,))


@declare.sample_metric(columns=("label", "correct"), finish=_mean_recall, higher_is_better=True)
def balanced_accuracy(rows: Rows) -> Contributions:
    """Balanced accuracy: mean over classes of the share of a class's samples whose prediction is the label.

    Classes without a sample do not count. Source: scikit-learn `balanced_accuracy_score`.
    """
    counting = rows.present("correct")
    labels = np.where(counting, rows.column("label"), 0)
    width = 2 * (int(labels.max(initial=0)) + 1)
    bins = 2 * labels + rows.column("correct") * counting
    return Contributions(counting, binned=counting, bins=bins, width=width)


@declare.sample_metric(columns=("label", "prediction", "correct"), finish=_mean_f1, higher_is_better=True)
def macro_f1(rows: Rows) -> Contributions:
    """Macro F1: mean over classes of the F1 of a class, which is 2 TP / (2 TP + FP + FN).

    Classes that occur neither as label nor as prediction do not count. A class that is only predicted has the F1 0.
    Source: scikit-learn `f1_score` with `average="macro"`.
    """
    counting = rows.present("correct")
    labels = np.where(counting, rows.column("label"), 0)
    predictions = rows.column("prediction") * counting
    classes = 1 + int(max(labels.max(initial=0), predictions.max(initial=0)))
    return Contributions(counting, binned=counting, bins=classes * labels + predictions, width=classes**2)


@declare.sample_metric(columns=("label", "correct"), finish=mean, higher_is_better=True)
def recall(rows: Rows, label: Annotated[int, Field(ge=0, description="number of the class")] = 0) -> Contributions:
    """Recall of one class: the share of its samples whose prediction is the class.

    Source: scikit-learn `recall_score` of one label. We differ: NaN if no sample is of the class (there 0).
    """
    own = (rows.column("label") == label) * rows.present("correct")
    return Contributions(own, (rows.column("correct") * own,))


@declare.resampled_metric(columns=("label", "correct", "logits"), higher_is_better=True)
def macro_auroc(rows: Rows, weights: Weights) -> Floats:
    """Macro AUROC: mean over classes of the area under the ROC curve of a class's probability, own against the rest.

    With two classes it is the area of either. Probabilities are a softmax over all of the model's classes, rounded to
    billionths. Classes without a sample in a resample do not count. Records must hold all logits
    (`evaluate: {outputs: full}`).
    Source: scikit-learn `roc_auc_score` with `multi_class="ovr"`, `average="macro"` and `sample_weight`.
    """
    known = np.flatnonzero(rows.present("correct"))
    labels = rows.column("label")[known]
    if not len(known):
        return np.full(weights.shape[1], np.nan)
    counted, probabilities = weights[known], _probabilities(rows)[known]
    areas = np.stack([_own_against_rest(probabilities, labels, counted, label) for label in np.unique(labels)])
    return _mean_over_classes(areas)


def _probabilities(rows: Rows) -> Floats:
    billionths: Floats = np.rint(softmax(rows.logits.astype(np.float64), axis=1) * 1e9)
    return billionths


def _own_against_rest(probabilities: Floats, labels: NDArray[np.int64], weights: Weights, label: int) -> Floats:
    own = labels == label
    scores = probabilities[:, label]
    return thresholds.roc_area(Sides(scores[own], scores[~own], weights[own], weights[~own]))


def _two_sides(rows: Rows, weights: Weights) -> Sides:
    """Samples of class 1 against all others."""
    known = rows.present("correct").astype(bool)
    confidence = rows.column("confidence_e9").astype(np.float64)
    scores = np.where(rows.column("prediction") == POSITIVE, confidence, -confidence)
    positive = known & (rows.column("label") == POSITIVE)
    negative = known & ~positive
    return Sides(scores[positive], scores[negative], weights[positive], weights[negative])


@declare.resampled_metric(columns=SCORED, higher_is_better=True)
def binary_auroc(rows: Rows, weights: Weights) -> Floats:
    """AUROC of a classifier of two classes: P(score of a positive > that of a negative) + P(equal) / 2.

    Chance is 0.5 for any shares of the classes. Source: scikit-learn `roc_auc_score` with `sample_weight`; computed as
    `auroc`, which compares two sets of samples.
    """
    return thresholds.roc_area(_two_sides(rows, weights))


@declare.resampled_metric(columns=SCORED, higher_is_better=True)
def binary_tpr(
    rows: Rows,
    weights: Weights,
    fpr: Annotated[float, Field(ge=0, lt=1, description="largest false positive rate")] = 0.05,
) -> Floats:
    """Share of positives found at the largest false positive rate of at most `fpr`; class 1 is positive.

    The threshold is the lowest at which the share of negatives above it is at most `fpr`. Positives above it are found;
    those at it are not. Nothing is interpolated.

    Source: TPR at 5% FPR of detectors of machine-made text (Dugan et al. 2024, "RAID", section 5, who calibrate so).
    We differ from code that takes the vertex nearest to the rate, whose rate may lie above it.
    """
    if not 0 <= fpr < 1:
        raise ParamsError(f"binary_tpr: fpr is {fpr!r}; expected a share in [0, 1)")
    # From the lowest score up: the first score by which 1 - fpr of the negatives are passed, and the positives by then.
    return 1.0 - thresholds.false_positive_rate(_two_sides(rows, weights).flipped(), 1 - fpr, "first")


@declare.sample_metric(columns=("label", "prediction", "correct"), finish=_f1, higher_is_better=True)
def binary_f1(rows: Rows) -> Contributions:
    """F1 of class 1: the harmonic mean of its precision and its recall, 2 TP / (2 TP + FP + FN).

    Source: scikit-learn `f1_score` with `pos_label=1`. We differ: NaN if no sample is of class 1 or predicted so
    (there 0).
    """
    counting = rows.present("correct")
    positive = rows.column("label") == POSITIVE
    predicted = rows.column("prediction") == POSITIVE
    bins = (2 * positive + predicted) * counting
    return Contributions(counting, binned=counting, bins=bins, width=4)


@declare.resampled_metric(columns=("fake", "fake_e9"), higher_is_better=True)
def fake_auroc(rows: Rows, weights: Weights) -> Floats:
    """AUROC of fakes: every class but `real` is a fake, the score is the log-odds of not being real.

    A real image that was tampered with is a fake, as in So-Fake (arXiv:2505.18660), and unlike older sets.
    Source: scikit-learn `roc_auc_score` with `sample_weight`.
    """
    known = (rows.present("fake") * rows.present("fake_e9")).astype(bool)
    scores = rows.column("fake_e9").astype(np.float64)
    fake = rows.column("fake") > 0
    fakes, reals = known & fake, known & ~fake
    return thresholds.roc_area(Sides(scores[fakes], scores[reals], weights[fakes], weights[reals]))


GROUP_VALUES = ("accuracy", "error")


def _direction(options: Mapping[str, Any]) -> dict[str, object]:
    return {"HIGHER_IS_BETTER": options["value"] == "accuracy"}


def _worst(sums: Sums, value: str, groups: Sequence[str]) -> Floats:
    """The lowest accuracy, or the highest error, over groups that have a sample; float64 (k,)."""
    wrong, right = sums.binned[0::2], sums.binned[1::2]
    shares = ratio(right, right + wrong)
    known = ~np.isnan(shares)
    lowest = np.where(known, shares, np.inf).min(axis=0)
    lowest = np.where(known.any(axis=0), lowest, np.nan)
    return lowest if value == "accuracy" else 1.0 - lowest


@declare.sample_metric(columns=("group", "correct"), finish=_worst, facts=_direction)
def _worst_group(
    rows: Rows,
    value: Annotated[Literal["accuracy", "error"], Field(description="measure of a group")] = "accuracy",
    groups: Annotated[Sequence[str], Field(description="groups that count; empty: all")] = (),
) -> Contributions:
    """Accuracy or error of the worst group. Samples without a group are a group of their own."""
    if value not in GROUP_VALUES:
        raise ParamsError(f"worst group: value is {value!r}; {suggest(value, GROUP_VALUES)}")
    names = [name or "" for name in rows.table.column("group").to_pylist()]
    chosen = sorted(set(names).intersection(groups) if groups else set(names))
    number = {name: at for at, name in enumerate(chosen)}
    group = np.array([number.get(name, -1) for name in names], dtype=np.int64)
    counting = rows.present("correct") * (group >= 0)
    bins = 2 * np.maximum(group, 0) + rows.column("correct") * counting
    return Contributions(counting, binned=counting, bins=bins, width=2 * max(1, len(chosen)))
