"""How far beyond doubt a ranker is the better and the more fragile one of a pair, or the worse and the sturdier one.

    r = max over the others of (+ or -) min(|d_effectiveness|, |d_fragility|) - z

d are differences in standard errors (of the draws, in which samples are paired); + where they have the same sign, so
that who ranks better breaks sooner: the pair is reversed. z is the normal quantile at `error` / (2 pairs): both
differences must be told from 0, so that some pair of a task is called reversed (r above 0) wrongly with a probability
of `error` at most. The test is in the value: its draws all say the same. Rows have the groups (tasks) of the two
metrics, and one value for all training seeds, of whose means differences are taken.

Source: Kendall's tau counts such pairs; the rule is that of two paired tests of which both must reject
(intersection-union, Berger 1982), with Bonferroni's correction over pairs.
"""

from itertools import combinations

import numpy as np
from scipy.stats import norm

from shiftbench.base.refs import without_seed
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {"effectiveness": "effectiveness", "fragility": "fragility", "error": 0.05}
UNIT = "standard errors"
RANGE = (None, None)
HIGHER_IS_BETTER = False
Places = dict[str, tuple[Row, Row]]
"""Ranker -> its rows of effectiveness and fragility."""


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the two metrics whose rows are needed."""
    return str(params["effectiveness"]), str(params["fragility"])


def compute(rows: list[Row], effectiveness: str, fragility: str, error: float) -> list[Row]:
    """Return a row for each task and each ranker (of a training seed, too) that has both."""
    good = {(row.model, row.method, row.group): row for row in rows if row.metric == effectiveness}
    tasks: dict[tuple[str, str | None], Places] = {}
    for row in rows:
        beside = good.get((row.model, row.method, row.group))
        if row.metric == fragility and row.group is not None and beside is not None:
            tasks.setdefault((row.method, row.group), {})[row.model] = (beside, row)
    return [one for places in tasks.values() for one in _clearest(places, error)]


def _clearest(places: Places, error: float) -> list[Row]:
    rankers = {name: both for name, both in places.items() if _stands_for_all(name, places)}
    pairs = list(combinations(rankers, 2))
    z = float(norm.isf(error / (2 * max(1, len(pairs)))))
    found = dict.fromkeys((without_seed(name)[0] for name in rankers), -np.inf)
    for pair in pairs:
        (good, frail), (good_, frail_) = (rankers[name] for name in pair)
        better, frailer = _errors(good.all - good_.all), _errors(frail.all - frail_.all)
        beyond = np.sign(better * frailer) * min(abs(better), abs(frailer)) - z
        for name in pair:
            family = without_seed(name)[0]
            found[family] = max(found[family], beyond)
    return [
        frail.derived([good, frail], np.full_like(frail.all, found[without_seed(name)[0]]))
        for name, (good, frail) in places.items()
        if np.isfinite(found[without_seed(name)[0]])
    ]


def _stands_for_all(name: str, places: Places) -> bool:
    """Tell whether a row is the mean over training seeds, or the only one of its ranker."""
    family, seed = without_seed(name)
    return seed is None or family not in places


def _errors(values: Floats) -> float:
    """Return a difference in standard errors; 0 where its draws do not differ, or are not defined."""
    spread = float(np.std(values[1:], ddof=1)) if len(values) > 2 else 0.0
    return float(values[0]) / spread if spread > 0 else 0.0
