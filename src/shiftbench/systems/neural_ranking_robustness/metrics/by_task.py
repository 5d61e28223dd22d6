"""Rows of other metrics under the names of tasks, as groups: so that claims can count tasks.

    fragility:
      use: by_task
      tasks:
        variance: {metric: vnap}                                               # the clean row
        corpus: {metric: mean_ndcg10, shift: [to_news], relative: true}        # a domain shift
        query: {metric: mean_ndcg10, shift: [swap/5, keyboard/5], relative: true, sign: -1}

A task's value is the mean over its shifts of the metric there (`relative`: of its relative change, as
`relative_change`), times `sign`. With `beside: bm25-index` that ranker's value is taken off: what it loses, too, though
it learns from no query, is the difficulty of the target (DR(ranker) - DR(BM25)). A row has the group of its task, and
stands at the clean position. Source: none.
"""

from collections.abc import Mapping
from typing import Any

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import number, without_seed
from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.neural_ranking_robustness.metrics import _relative

KIND = "curve"
PARAMS: dict[str, object] = {"tasks": {}, "least": 0.05}
UNIT = "as the rows"
RANGE = (None, None)
HIGHER_IS_BETTER = False
KEYS = {"metric", "shift", "relative", "sign", "beside"}


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
        made = [
            clean.derived(used, values * spec.get("sign", 1), group=task)
            for clean in rows
            if clean.metric == spec["metric"] and _plain(clean)
            for used, values in _made(rows, clean, spec, params["least"])
        ]
        found += _beside(made, spec["beside"]) if "beside" in spec else made
    return found


def _beside(made: list[Row], ranker: str) -> list[Row]:
    """Return the rows less that of a ranker (one training seed, or its mean) with the same method; none without it."""
    own = {row.method: row for row in made if without_seed(row.model)[0].partition("/")[2] == ranker}
    return [row.derived([row, own[row.method]], row.all - own[row.method].all) for row in made if row.method in own]


def _plain(row: Row) -> bool:
    return row.reference is None and row.group is None and row.step is None and row.shift is not None


def _made(rows: list[Row], clean: Row, spec: Mapping[str, Any], least: float) -> list[tuple[list[Row], Floats]]:
    """Return the rows behind a task's value, and the value with its replicates; nothing where one is missing."""
    if "shift" not in spec:
        return [([clean], clean.all)]
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
        return []
    total = made[spec["shift"][0]]
    for name in spec["shift"][1:]:
        total = total + made[name]
    return [(used, total / len(made))]
