"""A detection measure on as many OOD as ID samples: the mean over draws of the smaller number from either side.

`tnr95` is the share of OOD that is rejected where 95% of ID are accepted (the nearest such threshold). Equal numbers
matter little for `auroc`, much for precision and its area.

Source: Zhang et al., "Mixture Outlier Exposure", WACV 2023, `eval/eval.py` of zjysteven/MixOE: `random.seed(0)`, then
`random.sample` of ID and of OOD scores, ten times; so here. Differs: rows are in the order of scores, there in that of
a shuffled loader, so that other samples are drawn. A bootstrap resample has the same samples, with its weights.
"""

import random  # noqa: TID251 - the authors' own draws
from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins import declare
from shiftbench.statistics import thresholds
from shiftbench.statistics.rows import Floats, Ints
from shiftbench.statistics.thresholds import Sides

KIND = "detection"
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
MEASURES = ("auroc", "aupr_in", "tnr95")


class Options(declare.Options):
    of: Literal["auroc", "aupr_in", "tnr95"] = Field("auroc", description="detection measure; aupr_in: ID positive")
    draws: int = Field(10, ge=1, description="draws of equally many samples from both sides")


def compute(sides: Sides, of: str = "auroc", draws: int = 10) -> Floats:
    """Mean over the authors' draws, for each bootstrap resample, float64 (k,).

    Raises:
        ParamsError: no such measure.
    """
    if of not in MEASURES:
        raise ParamsError(f"equal_sized: of = {of!r}; {suggest(of, MEASURES)}")
    first, second = np.argsort(sides.negative, kind="stable"), np.argsort(sides.positive, kind="stable")
    values = [_measured(of, _rows(sides, second[ood], first[id])) for id, ood in equal(len(first), len(second), draws)]
    mean: Floats = np.mean(values, axis=0)
    return mean


def _rows(sides: Sides, positive: Ints, negative: Ints) -> Sides:
    return Sides(
        sides.positive[positive],
        sides.negative[negative],
        sides.positive_weights[positive],
        sides.negative_weights[negative],
    )


def equal(known: int, unknown: int, draws: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield as many rows of ID as of OOD, in the authors' draws; rows are in the order of scores."""
    words, size = random.Random(0), min(known, unknown)
    for _ in range(draws):
        yield words.sample(range(known), size), words.sample(range(unknown), size)


def _measured(of: str, sides: Sides) -> Floats:
    if of == "tnr95":
        return 1 - thresholds.false_positive_rate(sides.flipped(), 0.95, "nearest")  # of `fpr95_idpos`
    return thresholds.roc_area(sides) if of == "auroc" else thresholds.pr_area(sides.flipped())
