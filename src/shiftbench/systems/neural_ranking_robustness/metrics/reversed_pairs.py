"""In how many pairs with others a ranker is the better one and the more fragile one, or neither, beyond doubt.

A pair is reversed where both differences, that of effectiveness and that of fragility, are told from 0 and say
opposite things: who ranks better breaks sooner. A difference is told from 0 where it is larger than z times its
standard error (that of the draws, in which samples are paired). z is the normal quantile at `error` / (2 pairs): both
tests must reject, so that any pair of a task is called reversed wrongly with a probability of `error` at most.

The value is a count that has been tested already: its draws all say the same. Rows have the groups (tasks) of the two
metrics, and one value for all training seeds, of whose means differences are taken.

Source: Kendall's tau counts such pairs; the rule is that of two paired tests of which both must reject
(intersection-union, Berger 1982), with Bonferroni's correction over pairs.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import norm

from shiftbench.refs import without_seed
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {
    "effectiveness": "effectiveness",
    "fragility": "fragility",
    "error": 0.05,
}
UNIT = "pairs"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False
Places = dict[str, tuple[Row, Row]]
"""Ranker -> its rows of effectiveness and fragility."""


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the two metrics whose rows are needed."""
    return str(params["effectiveness"]), str(params["fragility"])


def compute(rows: list[Row], effectiveness: str, fragility: str, error: float) -> list[Row]:
    """Return a row for each task and each ranker (of a training seed, too) that has both."""
    good = {
        (row.weights, row.method, row.group): row for row in rows if row.metric == effectiveness
    }
    tasks: dict[tuple[str, str | None], Places] = {}
    for row in rows:
        beside = good.get((row.weights, row.method, row.group))
        if row.metric == fragility and row.group is not None and beside is not None:
            tasks.setdefault((row.method, row.group), {})[row.weights] = (beside, row)
    return [one for places in tasks.values() for one in _counted(places, error)]


def _counted(places: Places, error: float) -> list[Row]:
    rankers = {name: both for name, both in places.items() if _stands_for_all(name, places)}
    z = norm.isf(error / (2 * max(1, len(rankers) * (len(rankers) - 1) // 2)))
    count = dict.fromkeys((without_seed(name)[0] for name in rankers), 0)
    for one, other in combinations(rankers, 2):
        (good, frail), (good_, frail_) = rankers[one], rankers[other]
        if _told(good.all - good_.all, z) * _told(frail.all - frail_.all, z) > 0:
            count[without_seed(one)[0]] += 1
            count[without_seed(other)[0]] += 1
    return [
        frail.derived([good, frail], np.full_like(frail.all, count[without_seed(name)[0]]))
        for name, (good, frail) in places.items()
    ]


def _stands_for_all(name: str, places: Places) -> bool:
    """Tell whether a row is the mean over training seeds, or the only one of its ranker."""
    family, seed = without_seed(name)
    return seed is None or family not in places


def _told(values: Floats, z: float) -> int:
    """Return the sign of a difference with its draws, 0 where it is not told from 0."""
    spread = float(np.std(values[1:], ddof=1)) if len(values) > 2 else np.inf
    return int(np.sign(values[0])) if abs(values[0]) > z * spread else 0
