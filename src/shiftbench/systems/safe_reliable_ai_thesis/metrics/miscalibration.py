"""Miscalibration of each class, signed; variants name what is computed from the levels.

For the samples whose *true* class is k, in bins of confidence (15, open on the left; Guo et al. 2017):

    level_k = sum_b n_b (conf_b - acc_b) / n_k            above 0: over-confident, below: under-confident
    gap_k   = sum_b n_b |conf_b - acc_b| / n_k

In a level the bins cancel: it is the mean of confidence - [correct]. P and N are the classes with level >= 0 and < 0:

    score        (|P| sum_P level + |N| sum_N level) / K   the miscalibration score MCS; not bounded by 1, and a mix of
                                                           both sides may give 0: look at the two sides as well
    over, under  mean level over P, over N; 0 if there is no such class
    over_share, under_share   |P| / K, |N| / K
    error        mean of gap_k: class-wise ECE

Source: Ao, Rueger and Siddharthan, "Two Sides of Miscalibration", UAI 2023; AoShuang92/miscalibration_TS, `msc_ts.py`
(`classwise_ece`, `miscalibration_level`). We differ: intermediate values are not rounded (there levels to 0.001), K is
the number of classes that have samples in the resample, and a side without a class is 0, not NaN. The class is the true
one: confidence in *wrong* predictions of samples of class k counts for k; other papers take the predicted class.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.statistics.rows import Floats, Ints, Rows
from shiftbench.statistics.thresholds import Weights

AT_ONCE = 250
"""Resamples at a time: a block of weights of 10,000 samples is 20 MB."""

RANGES: dict[str, tuple[float | None, float | None]] = {
    "score": (None, None),
    "over": (0.0, 1.0),
    "under": (-1.0, 0.0),
    "over_share": (0.0, 1.0),
    "under_share": (0.0, 1.0),
    "error": (0.0, 1.0),
}
Of = Annotated[
    Literal["score", "over", "under", "over_share", "under_share", "error"],
    Field(description="quantity that is computed from the levels"),
]
Bins = Annotated[int, Field(ge=1, description="bins of confidence, for `of: error`")]


def _facts(options: Mapping[str, Any]) -> dict[str, object]:
    of = str(options["of"])
    if of not in RANGES:
        raise ParamsError(f"of: {of!r} is nothing that class levels give; {suggest(of, RANGES)}")
    unit = "share" if of.endswith("share") else "probability"
    return {"RANGE": RANGES[of], "HIGHER_IS_BETTER": of == "under", "UNIT": unit}


@declare.resampled_metric(
    columns=("label", "correct", "confidence_e9"), facts=_facts, higher_is_better=False, unit="probability"
)
def _class_levels(rows: Rows, weights: Weights, of: Of = "score", bins: Bins = 15) -> Floats:
    """Quantity of the class levels; samples without a label among the model's classes do not count."""
    if type(bins) is not int or bins < 1:
        raise ParamsError(f"bins is {bins!r}; expected a whole number of 1 at least")
    counts = rows.present("correct").astype(bool)
    label, weights = rows.column("label")[counts], weights[counts]
    confidence = rows.column("confidence_e9")[counts]
    gap = confidence - rows.column("correct")[counts] * E9
    size = summed(label, np.ones_like(gap), weights)
    if of == "error":
        which = label * bins + np.maximum((confidence * bins - 1) // E9, 0)
        binned = summed(which, gap, weights, len(size) * bins)
        total = np.abs(binned).reshape(len(size), bins, weights.shape[1]).sum(axis=1)
        return _mean(_ratio(total, size * E9), size > 0)
    return _of_levels(of, _ratio(summed(label, gap, weights), size * E9), size > 0)


def summed(which: Ints, values: Ints, weights: Weights, width: int | None = None) -> Ints:
    """Weighted sum of values at each place in each resample, int64 (width, k); exact.

    Args:
        which: the place of each sample, int64 (n,).
        values: int64 (n,).
        weights: uint8 (n, k).
        width: number of places; default: as many as there are.
    """
    width = int(which.max(initial=-1)) + 1 if width is None else width
    places = csr_array((values, (which, np.arange(len(which)))), shape=(width, len(which)))
    blocks = [places @ weights[:, low : low + AT_ONCE].astype(np.int64) for low in range(0, weights.shape[1], AT_ONCE)]
    return np.concatenate(blocks, axis=1)


def _of_levels(of: str, levels: Floats, known: NDArray[np.bool_]) -> Floats:
    """Quantity of levels (K, k), of which those that are not known do not count."""
    sides = {"over": known & (levels >= 0), "under": known & (levels < 0)}
    number = {name: side.sum(axis=0) for name, side in sides.items()}
    total = {name: np.where(side, levels, 0).sum(axis=0) for name, side in sides.items()}
    classes = known.sum(axis=0)
    if of == "score":
        both = number["over"] * total["over"] + number["under"] * total["under"]
        return _ratio(both, classes)
    name, _, share = of.partition("_")
    if share:
        return _ratio(number[name], classes)
    means = np.where(number[name] > 0, total[name] / np.maximum(number[name], 1), 0.0)
    return np.where(classes > 0, means, np.nan)


def _mean(values: Floats, known: NDArray[np.bool_]) -> Floats:
    return _ratio(np.where(known, values, 0).sum(axis=0), known.sum(axis=0))


def _ratio(numerator: Ints | Floats, denominator: Ints) -> Floats:
    """Divide; 0 / 0 is NaN."""
    result = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result
