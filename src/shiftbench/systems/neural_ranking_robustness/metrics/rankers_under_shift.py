"""Rankers under shift: what they lose, by shift, task and type of query, and whether better rankers lose more.

Source of most: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022, https://arxiv.org/abs/2108.05018.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy.stats import norm

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import number, without_seed
from shiftbench.plugins import declare, fields
from shiftbench.plugins.metrics.severity import source
from shiftbench.statistics.rows import Floats, Row

Specifications = Mapping[str, Mapping[str, Any]]
NONE: Specifications = {}
Least = Annotated[float, Field(ge=0, description="clean value below which a relative change is not defined")]


# ------------------------------------------------------------------ relative to the clean value


def _with_clean(rows: Iterable[Row], metric: str) -> Iterator[tuple[Row, Row]]:
    """Yield (shifted row, clean row) of the same model, method and group, for domain shifts too."""
    rows = [row for row in rows if row.metric == metric and row.step is None]
    clean = {(*_ranker(row), row.condition): row for row in rows if row.reference is None}
    for row in rows:
        if row.reference is not None and row.shift is not None and row.detector is None:
            own = clean.get((*_ranker(row), row.reference))
            if own is not None:
                yield row, own


def _ranker(row: Row) -> tuple[str | None, ...]:
    return row.model, row.method, row.group


def _share(gain: Floats, whole: Floats, least: float) -> Floats:
    """Gain by whole, float64 (1 + resamples,); NaN where the whole is below `least`."""
    defined = whole >= max(least, np.finfo(float).tiny)
    return np.where(defined, gain / np.where(defined, whole, 1), np.nan)


def _change(shifted: Row, clean: Row, least: float) -> Floats:
    return _share(shifted.all - clean.all, clean.all, least)


@declare.curve_metric(sources=source, higher_is_better=True, unit="share of the clean value", bounds=(-1.0, None))
def relative_change(rows: list[Row], of: fields.Of = "mean_ndcg10", least: Least = 0.05) -> list[Row]:
    """Relative change: what a metric gains under a shift, as a share of its clean value; negative: it loses.

        DR = (P_shifted - P_clean) / P_clean

    One row for each shifted row, for domain shifts too, whose samples differ from the clean ones.

    Shares of almost nothing mean nothing, hence `least`.
    Source: Wu et al. (see above), drop rate, with our sign for the query attack as well.
    """
    return [
        shifted.derived([shifted, clean], _change(shifted, clean, least))
        for shifted, clean in _with_clean(rows, of)
        if shifted.group is None
    ]


# ------------------------------------------------------------------ by task

Tasks = Annotated[
    Specifications,
    Field(description="task -> `metric`, and the keys it needs of `shift`, `relative`, `sign` and `beside`"),
]
TASK_KEYS = {"metric", "shift", "relative", "sign", "beside"}


def _task_metrics(options: Mapping[str, Any]) -> tuple[str, ...]:
    for task, spec in options["tasks"].items():
        if "metric" not in spec or set(spec) - TASK_KEYS:
            raise ParamsError(
                f"by_task: {task} has {', '.join(spec)}; expected metric, and of {', '.join(sorted(TASK_KEYS))}"
            )
    return tuple(dict.fromkeys(spec["metric"] for spec in options["tasks"].values()))


@declare.curve_metric(sources=_task_metrics, higher_is_better=False, unit="as the rows", bounds=(None, None))
def by_task(rows: list[Row], tasks: Tasks = NONE, least: Least = 0.05) -> list[Row]:
    """Rows of other metrics under the names of tasks, as groups: so that claims can count tasks.

        fragility:
          use: by_task
          tasks:
            variance: {metric: vnap}                                               # the clean row
            corpus: {metric: mean_ndcg10, shift: [to_news], relative: true}        # a domain shift
            query: {metric: mean_ndcg10, shift: [swap/5, keyboard/5], relative: true, sign: -1}

    A task's value is the mean over its shifts of the metric there (`relative`: of its relative change, as
    `relative_change`), times `sign`. With `beside: bm25-index` the value of that ranker (one training seed, or its
    mean) with the same method is subtracted. It learns from no query, so its loss is the difficulty of the target:
    DR(ranker) - DR(BM25). A row has the group of its task, and the clean condition. Models that lack one of a task's
    shifts have no row.

    Source: none.
    """
    results = []
    for task, spec in tasks.items():
        of_task = [
            clean.derived(used, values * spec.get("sign", 1), group=task)
            for clean in rows
            if clean.metric == spec["metric"] and _is_clean(clean)
            for used, values in _task_value(rows, clean, spec, least)
        ]
        results += _less_ranker(of_task, spec["beside"]) if "beside" in spec else of_task
    return results


def _less_ranker(rows: list[Row], ranker: str) -> list[Row]:
    own = {row.method: row for row in rows if without_seed(row.model)[0].partition("/")[2] == ranker}
    return [row.derived([row, own[row.method]], row.all - own[row.method].all) for row in rows if row.method in own]


def _is_clean(row: Row) -> bool:
    return row.reference is None and row.group is None and row.step is None and row.shift is not None


def _task_value(rows: list[Row], clean: Row, spec: Mapping[str, Any], least: float) -> list[tuple[list[Row], Floats]]:
    """The rows behind a task's value, and the value with its resamples; empty if a shift is missing."""
    if "shift" not in spec:
        return [([clean], clean.all)]
    used: list[Row] = []
    values: dict[str, Floats] = {}
    for shifted, own in _with_clean(rows, spec["metric"]):
        level = "" if shifted.severity is None else f"/{number(shifted.severity)}"
        name = f"{shifted.shift}{level}"
        if own is clean and name in spec["shift"]:
            used.append(shifted)
            values[name] = _change(shifted, own, least) if spec.get("relative", False) else shifted.all
    if len(values) < len(spec["shift"]):
        return []
    total = values[spec["shift"][0]]
    for name in spec["shift"][1:]:
        total = total + values[name]
    return [(used, total / len(values))]


# ------------------------------------------------------------------ trained with and without a type of query

Types = Annotated[
    Mapping[str, Mapping[str, str]],
    Field(description="type -> at, the shift that tests it; seen and unseen, the data sets of both arms"),
]
TYPE_KEYS = {"at", "seen", "unseen"}


def _type_metric(options: Mapping[str, Any]) -> tuple[str, ...]:
    for name, spec in options["types"].items():
        if set(spec) != TYPE_KEYS:
            raise ParamsError(f"unseen_type: {name} has {', '.join(spec)}; expected {', '.join(sorted(TYPE_KEYS))}")
    return source(options)


@declare.curve_metric(sources=_type_metric, higher_is_better=False, bounds=(None, None))
def unseen_type(
    rows: list[Row],
    *,
    of: fields.Of = "mean_ndcg10",
    types: Types = NONE,
    seen: Annotated[bool, Field(description="the mean of P_seen instead of the loss")] = False,
    least: Least = 0.05,
) -> list[Row]:
    """What a ranker loses on queries of a type that it was not trained on, against itself trained with it.

        (P_seen - P_unseen) / P_seen,   mean over the types

    The queries are the same for both, so that their difficulty cancels and the shift of training is left. A ranker that
    learns nothing from queries loses nothing: 0. Rows have the group `type`, and the clean condition of the arm that
    had not seen the first type. A ranker has a row if both arms have one for each type.

    `at` is `identity` for the benchmark's own queries. Both data sets of a type should have equal numbers of queries.

    Source: leave one query type out, Wu et al. (see above). Taking the same ranker trained with the type as the
    reference is our reading, since the paper's text was not available.
    """
    known = {
        (row.model, row.method, row.shift): row
        for row in rows
        if row.metric == of and row.group is None and row.step is None
    }
    trained_on = {spec[arm] for spec in types.values() for arm in ("seen", "unseen")}
    first = next(iter(types.values()), None)
    results = []
    for (model, method, shift), row in known.items():
        dataset, _, ranker = model.partition("/")
        if first is None or shift != first["at"] or (dataset in trained_on and dataset != first["unseen"]):
            continue
        pairs = [_arms(known, (dataset, ranker, method), spec, trained_on) for spec in types.values()]
        if all(None not in pair for pair in pairs):
            both = [one for pair in pairs for one in pair if one is not None]
            values = np.mean([_type_value(*pair, seen=seen, least=least) for pair in pairs], axis=0)
            results.append(row.derived(both, values, group="type"))
    return results


def _arms(
    known: Mapping[tuple[str, str, str | None], Row],
    place: tuple[str, str, str],
    spec: Mapping[str, str],
    trained_on: set[str],
) -> tuple[Row | None, Row | None]:
    """Rows of a ranker trained with a type and without it; the same row if it learns nothing."""
    dataset, ranker, method = place
    arms = [spec[arm] if dataset in trained_on else dataset for arm in ("seen", "unseen")]
    one, other = (known.get((f"{arm}/{ranker}", method, spec["at"])) for arm in arms)
    return one, other


def _type_value(one: Any, other: Any, *, seen: bool, least: float) -> Floats:
    return np.asarray(one.all) if seen else _share(one.all - other.all, one.all, least)


# ------------------------------------------------------------------ better and more fragile

Rankers = dict[str, tuple[Row, Row]]
"""Ranker -> its rows of effectiveness and fragility."""


def _both_metrics(options: Mapping[str, Any]) -> tuple[str, ...]:
    return str(options["effectiveness"]), str(options["fragility"])


@declare.curve_metric(sources=_both_metrics, higher_is_better=False, unit="standard errors", bounds=(None, None))
def order_reversal(
    rows: list[Row],
    effectiveness: Annotated[str, Field(description="metric of how good a ranker is")] = "effectiveness",
    fragility: Annotated[str, Field(description="metric of how much it loses")] = "fragility",
    error: Annotated[float, Field(gt=0, lt=1, description="probability of calling a pair reversed wrongly")] = 0.05,
) -> list[Row]:
    """How clearly a ranker is the better and the more fragile one of a pair, or the worse and the sturdier one.

        r = max over the others of (+ or -) min(|d_effectiveness|, |d_fragility|) - z

    d are differences in standard errors (of the resamples, in which samples are paired). The sign is + if both have the
    same sign: the pair is reversed, since the better ranker is the more fragile one. z is the normal quantile at
    `error` / (2 pairs). Both differences must be significant, so that the probability that some pair of a task is
    called reversed (r above 0) wrongly is at most `error`. The test is in the value: all resamples have the same value.
    Rows have the groups (tasks) of the two metrics. All training seeds of a ranker have one value, that of their means.

    Source: Kendall's tau counts such pairs; the rule is that of two paired tests of which both must reject
    (intersection-union, Berger 1982), with Bonferroni's correction over pairs.
    """
    effective = {_ranker(row): row for row in rows if row.metric == effectiveness}
    tasks: dict[tuple[str, str | None], Rankers] = {}
    for row in rows:
        own = effective.get(_ranker(row))
        if row.metric == fragility and row.group is not None and own is not None:
            tasks.setdefault((row.method, row.group), {})[row.model] = (own, row)
    return [row for rankers in tasks.values() for row in _clearest(rankers, error)]


def _clearest(rankers: Rankers, error: float) -> list[Row]:
    means = {name: both for name, both in rankers.items() if _is_mean(name, rankers)}
    pairs = list(combinations(means, 2))
    z = float(norm.isf(error / (2 * max(1, len(pairs)))))
    largest = dict.fromkeys((without_seed(name)[0] for name in means), -np.inf)
    for pair in pairs:
        (good, frail), (good_, frail_) = (means[name] for name in pair)
        better, frailer = _errors(good.all - good_.all), _errors(frail.all - frail_.all)
        beyond = np.sign(better * frailer) * min(abs(better), abs(frailer)) - z
        for name in pair:
            ranker = without_seed(name)[0]
            largest[ranker] = max(largest[ranker], beyond)
    return [
        frail.derived([good, frail], np.full_like(frail.all, largest[without_seed(name)[0]]))
        for name, (good, frail) in rankers.items()
        if np.isfinite(largest[without_seed(name)[0]])
    ]


def _is_mean(name: str, rankers: Rankers) -> bool:
    """Whether a row is the mean over training seeds, or the only row of its ranker."""
    ranker, seed = without_seed(name)
    return seed is None or ranker not in rankers


def _errors(values: Floats) -> float:
    """A difference in standard errors; 0 if its resamples do not differ, or are not defined."""
    spread = float(np.std(values[1:], ddof=1)) if len(values) > 2 else 0.0
    return float(values[0]) / spread if spread > 0 else 0.0
