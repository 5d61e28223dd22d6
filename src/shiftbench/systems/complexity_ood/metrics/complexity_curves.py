"""Accuracy over complexity: how it falls, and where; one row per curve that `_points.py` finds.

Source of all but Wilson's interval: metrics of arXiv 2510.06274's protocol, reconstructed (see this system's
README.md).
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare, fields
from shiftbench.plugins.metrics.severity import source
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Row, Rows
from shiftbench.systems.complexity_ood.metrics import _logistic, _points

NO_CHANCE: dict[str, float] = {}
Threshold = Annotated[float, Field(ge=0, description="largest complexity that is ID")]
Chance = Annotated[
    dict[str, Annotated[float, Field(ge=0, lt=1)]],
    Field(description="accuracy of guessing for each data set; others have no row"),
]
Added = Annotated[
    float, Field(ge=0, description="answers added to the correct and to the wrong ones of each point, for the fit")
]
QUARTER = 0.25
Z = NormalDist().inv_cdf(0.975)


# ------------------------------------------------------------------ below and above a threshold


@declare.curve_metric(sources=source, higher_is_better=True)
def _side(
    rows: list[Row],
    *,
    of: fields.Of = "accuracy",
    threshold: Threshold = 2,
    above: Annotated[bool, Field(description="above the threshold; false: up to it")] = False,
) -> list[Row]:
    """Mean of accuracy over complexities up to the threshold (ID), or above it (OOD); for curves with both sides.

    Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    results = []
    for curve in _points.curves(rows, of):
        inside = curve.complexities <= threshold
        if inside.any() and not inside.all():
            results.append(curve.row(curve.values[~inside if above else inside].mean(axis=0)))
    return results


@declare.curve_metric(sources=source, higher_is_better=True, unit="ratio", bounds=(None, None))
def retention(
    rows: list[Row], of: fields.Of = "accuracy", threshold: Threshold = 2, chance: Chance = NO_CHANCE
) -> list[Row]:
    """Retention: accuracy above the threshold as a share of that up to it, both corrected for chance.

        R = OOD / ID,   ID and OOD: means of (acc(c) - chance) / (1 - chance) over c up to and above the threshold

    NaN if ID is at chance or below it.

    Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    results = []
    for curve in _points.curves(rows, of):
        if curve.rows[0].dataset not in chance:
            continue
        values = _points.corrected(curve.values, chance, curve.rows[0].dataset)
        inside = curve.below(threshold)
        known, beyond = values[inside].mean(axis=0), values[~inside].mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            results.append(curve.row(np.where(known > 0, beyond / known, np.nan)))
    return results


@declare.curve_metric(sources=source, higher_is_better=False, bounds=(-1.0, 1.0))
def illusion_index(rows: list[Row], of: fields.Of = "accuracy") -> list[Row]:
    """Illusion index: accuracy over all questions minus that over the most complex quarter, which one mean hides.

    The quarter is the fewest complexities, from the largest down, that have at least a quarter of the questions.
    Questions count alike on both sides.

    Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    return [curve.row(_hidden(curve)) for curve in _points.curves(rows, of)]


def _hidden(curve: _points.Curve) -> Floats:
    levels = np.unique(curve.complexities)
    questions = np.array([curve.counts[curve.complexities >= level].sum() for level in levels])
    lowest = levels[questions >= QUARTER * curve.counts.sum()].max()
    top: NDArray[np.bool_] = curve.complexities >= lowest
    return _mean(curve, np.ones_like(top)) - _mean(curve, top)


def _mean(curve: _points.Curve, points: NDArray[np.bool_]) -> Floats:
    return np.asarray(np.average(curve.values[points], axis=0, weights=curve.counts[points]))


# ------------------------------------------------------------------ fitted curves


@declare.curve_metric(sources=source, higher_is_better=True, unit="log odds", bounds=(None, None))
def _slope(
    rows: list[Row],
    of: fields.Of = "accuracy",
    by: Annotated[
        Literal["complexity", "length"], Field(description="the coefficient; by length only curves of known lengths")
    ] = "complexity",
    added: Added = 0.5,
) -> list[Row]:
    """Coefficient of the logistic regression of correctness on complexity and, where lengths differ, on words.

        correct ~ c          if all points have one length, or lengths are not known
        correct ~ c + |x|    if each point has its number of words

    Answers of one complexity (and length) count together, weighted by their number. Half an answer is `added` to the
    correct and to the wrong ones, since a model without mistakes below some complexity would have no slope. Intervals
    are those of the bootstrap over clusters (templates), of whose errors the sandwich estimate is the limit; a test
    compares them.

    Source: arXiv 2510.06274's protocol, reconstructed; Liang and Zeger 1986 (errors that clusters do not break).
    """
    results = []
    for curve in _points.curves(rows, of):
        if by == "length" and curve.lengths is None:
            continue
        columns = [curve.complexities] if curve.lengths is None else [curve.complexities, curve.lengths]
        coefficients = _logistic.fit(np.column_stack(columns), curve.values, curve.counts, added)
        results.append(curve.row(coefficients[1 if by == "complexity" else 2]))
    return results


@declare.curve_metric(sources=source, higher_is_better=True, unit="step", bounds=(0.0, None))
def half_complexity(
    rows: list[Row],
    of: fields.Of = "accuracy",
    threshold: Threshold = 2,
    chance: Chance = NO_CHANCE,
    added: Added = 0.5,
) -> list[Row]:
    """Half complexity c50: where fitted accuracy, corrected for chance, falls below half of that up to the threshold.

    The fit is a logistic of c, of (acc(c) - chance) / (1 - chance), each point weighted by its questions. ID is the
    fit's mean over the complexities up to the threshold. The result is a real number: the fit is solved, not looked up.
    If the fit does not fall so far by the largest complexity that was tested, the result is that complexity plus one.

    Source: metrics of arXiv 2510.06274's protocol, reconstructed.
    """
    return [
        curve.row(_half(curve, threshold, chance, added))
        for curve in _points.curves(rows, of)
        if curve.rows[0].dataset in chance
    ]


def _half(curve: _points.Curve, threshold: float, chance: Mapping[str, float], added: float) -> Floats:
    x = curve.complexities[:, None]
    shares = _points.corrected(curve.values, chance, curve.rows[0].dataset)
    intercept, slope = coefficients = _logistic.fit(x, shares, curve.counts, added)
    known = _logistic.predicted(x, coefficients)[curve.below(threshold)].mean(axis=0) / 2
    never = curve.complexities[-1] + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        half = (np.log(known / (1 - known)) - intercept) / slope
    reached = np.where((slope < 0) & (half < never), np.maximum(half, 0), never)
    return np.where(np.isnan(slope), np.nan, reached)


# ------------------------------------------------------------------ Wilson's interval


def _end(sums: Sums, *, upper: bool) -> Floats:
    share, n = ratio(sums.sums[0], sums.count), np.maximum(sums.count, 1)
    half = Z * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    end = (share + Z * Z / (2 * n) + (half if upper else -half)) / (1 + Z * Z / n)
    return np.clip(end, 0, 1)


@declare.sample_metric(columns=("correct",), finish=_end, higher_is_better=True)
def _wilson(
    rows: Rows, *, upper: Annotated[bool, Field(description="the upper end; false: the lower one")] = False
) -> Contributions:
    """An end of Wilson's interval of accuracy.

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n),   z the normal quantile of 0.975

    It takes questions as independent. The intervals of the tables come from the bootstrap, which resamples clusters.

    Source: Wilson 1927, JASA 22; as `scipy.stats.binomtest(...).proportion_ci(method="wilson")`, tested.
    """
    return Contributions(rows.present("correct"), (rows.column("correct"),))
