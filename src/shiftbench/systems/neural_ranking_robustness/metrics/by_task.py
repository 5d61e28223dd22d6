"""Rows of other metrics under the names of tasks, as groups: so that claims can count tasks.

    fragility:
      use: by_task
      tasks:
        variance: {metric: vnap}                                               # the clean row
        corpus: {metric: mean_ndcg10, shift: [to_news], relative: true}        # a domain shift
        query: {metric: mean_ndcg10, shift: [swap/5, keyboard/5], relative: true, sign: -1}

A task's value is the mean over its shifts of the metric there (`relative`: of its relative change, as
`relative_change`), times `sign`. A row has the group of its task, and stands at the clean position. Source: none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shiftbench.errors import ParamsError
from shiftbench.refs import number
from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.neural_ranking_robustness.metrics import _relative

KIND = "curve"
PARAMS: dict[str, object] = {"tasks": {}, "least": 0.05}
UNIT = "as the rows"
RANGE = (None, None)
HIGHER_IS_BETTER = False
KEYS = {"metric", "shift", "relative", "sign"}


def sources(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed.

    Raises:
        ParamsError: a task with an unknown key, or without a metric.
    """
    for task, spec in params["tasks"].items():
        if "metric" not in spec or set(spec) - KEYS:
            raise ParamsError(
                f"by_task: {task} has {', '.join(spec)}; expected metric, and of {', '.join(sorted(KEYS))}"
            )
    return tuple(dict.fromkeys(spec["metric"] for spec in params["tasks"].values()))


def compute(rows: list[Row], **params: Any) -> list[Row]:
    """Return a row for each task and each weights that have all of its shifts."""
    found = []
    for task, spec in params["tasks"].items():
        for clean in rows:
            if clean.metric == spec["metric"] and _plain(clean):
                made = _made(rows, clean, spec, params["least"])
                if made is not None:
                    used, values = made
                    found.append(clean.derived(used, values * spec.get("sign", 1), group=task))
    return found


def _plain(row: Row) -> bool:
    return (
        row.reference is None and row.group is None and row.step is None and row.shift is not None
    )


def _made(
    rows: list[Row], clean: Row, spec: Mapping[str, Any], least: float
) -> tuple[list[Row], Floats] | None:
    """Return the rows behind a task's value, and the value with its replicates."""
    if "shift" not in spec:
        return [clean], clean.all
    used: list[Row] = []
    made: dict[str, Floats] = {}
    for shifted, own in _relative.beside(rows, spec["metric"]):
        level = "" if shifted.severity is None else f"/{number(shifted.severity)}"
        name = f"{shifted.shift}{level}"
        if own is clean and name in spec["shift"]:
            used.append(shifted)
            relative = spec.get("relative", False)
            made[name] = _relative.change(shifted, own, least) if relative else shifted.all
    if len(made) < len(spec["shift"]):
        return None
    total = made[spec["shift"][0]]
    for name in spec["shift"][1:]:
        total = total + made[name]
    return used, total / len(made)
