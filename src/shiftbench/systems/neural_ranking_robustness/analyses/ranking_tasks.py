"""Loss of each query in each task of ranking robustness, and its value under the worst of several attacks.

One number per query, ranker, shift and severity (nDCG@10 of the list): `loss_TASK` is the clean value less the one
under the shift, of the tasks whose shifts keep the queries; `value_TASK` the value itself, of all tasks. `worst_TASK`
is the smallest value over all shifts and severities of a task, `P_worst = mean_q min_j P_j(q)`; `lost_TASK` the share
of queries that lose more than `step` hundredths under the last of its shifts. Queries are joined by key.

Source: Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022, https://arxiv.org/abs/2108.05018; the worst
case over attacks is ours.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data.formats import E9
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

COLUMN = "ndcg10_e9"
Values = dict[str, float]


class Options(declare.Options):
    tasks: dict[str, list[str]] = Field(
        {}, description="shifts of each task, as SHIFT/SEVERITY, the last one the strongest"
    )
    other: list[str] = Field([], description="tasks whose queries are not the clean ones, so that no loss is computed")
    steps: list[int] = Field(
        list(range(0, 100, 10)), description="losses of nDCG@10, in hundredths, that `lost_TASK` counts"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The records of all rankers, clean and under the shifts of all tasks."""
    return [_records(params, name, shift) for name in params["checkpoints"] for shift in _shifts(params)]


def _shifts(params: Mapping[str, Any]) -> list[str]:
    """`shift/severity` of all tasks, each once, the clean one first."""
    shifted = (shift for shifts in params["tasks"].values() for shift in shifts)
    return list(dict.fromkeys(["identity/0", *shifted]))


def _records(params: Mapping[str, Any], weights: str, shift: str) -> Ref:
    name, _, severity = shift.partition("/")
    stream = f"{params['dataset']}/{params['split']}/{name}"
    return refs.records(Ref("checkpoints", weights), params["methods"][0], stream, severity)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the numbers of all rankers."""
    for weights in job.params["checkpoints"]:
        values = {shift: _values(job, weights, shift) for shift in _shifts(job.params)}
        for task, shifts in job.params["tasks"].items():
            yield from _task(job.params, weights, task, {one: values[one] for one in shifts})
            if task not in job.params["other"]:
                yield from _paired(job.params, weights, task, values, shifts)


def _values(job: Measurement, weights: str, shift: str) -> Values:
    table = job.records(_records(job.params, weights, shift))
    values = (value / E9 for value in table.column(COLUMN).to_pylist())
    return dict(zip(table.column("key").to_pylist(), values, strict=True))


def _task(params: Mapping[str, Any], weights: str, task: str, values: Mapping[str, Values]) -> Iterator[Observation]:
    for shift, by_query in values.items():
        for key, value in by_query.items():
            yield _row(params, weights, f"value_{task}", key, value, shift)


def _paired(
    params: Mapping[str, Any], weights: str, task: str, values: Mapping[str, Values], shifts: list[str]
) -> Iterator[Observation]:
    clean = values["identity/0"]
    for key, baseline in clean.items():
        for shift in shifts:
            loss = baseline - values[shift][key]
            yield _row(params, weights, f"loss_{task}", key, loss, shift)
        worst = min(values[shift][key] for shift in shifts)
        yield _row(params, weights, f"worst_{task}", key, worst)
        loss = baseline - values[shifts[-1]][key]
        for step in params["steps"]:
            lost = float(round(loss * 100, 6) > step)
            yield _row(params, weights, f"lost_{task}", key, lost, step=step)


def _row(  # noqa: PLR0913 - where a number stands
    params: Mapping[str, Any],
    weights: str,
    metric: str,
    key: str,
    value: float,
    shift: str | None = None,
    step: int | None = None,
) -> Observation:
    name, _, severity = (shift or "").partition("/")
    return Observation(
        metric=metric, key=key, value=value, model=weights, dataset=params["dataset"], split=params["split"],
        method=params["methods"][0], shift=name or None, severity=float(severity) if severity else None, step=step,
    )  # fmt: skip
