"""Which rows the table of a benchmark has to have, and which rows it may have besides."""

from collections.abc import Iterator
from typing import Any

from shiftbench.base import registry
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM
from shiftbench.workflow.plan.plan import Plan

Place = tuple[Any, ...]
COLUMNS = ("model", "method", "detector", "dataset", "split", "shift", "severity", "step", "metric")
_SHIFT, _SEVERITY = COLUMNS.index("shift"), COLUMNS.index("severity")
_DATASET = COLUMNS.index("dataset")
_REQUIRED = {"sample": (False, False), "resampled": (False, False), "detection": (True, True)}
"""Kind of a metric -> whether its rows have a detector, and whether they are of OOD sets. Rows of other kinds
(failures, paths, curves) depend on what records hold; the second implementation in `aggregates` has them."""


def required(plan: Plan, benchmark: str) -> set[Place]:
    """Return the rows that a table must have, as values of COLUMNS."""
    asked = plan.benchmarks[benchmark]
    names = asked.metrics if asked.metrics is not None else tuple(plan.params.metrics)
    kinds = {name: registry.find("metrics", plan.params.use("metrics", name)).KIND for name in names}
    return {
        (*_place(row), name)
        for row in plan.rows(asked)
        for name, kind in kinds.items()
        if _REQUIRED.get(kind) == (row["detector"] is not None, row["ood"])
    }


def foreign(plan: Plan, benchmark: str, found: set[Place], observed: set[str]) -> Iterator[Place]:
    """Yield the rows of a table that are of no planned position, weights, detector or metric.

    Allowed are means over training seeds, over OOD sets of a group, over shifts and over severities; and metrics that
    the benchmark's analyses observed, wherever they say, with what is derived from these.
    """
    asked = plan.benchmarks[benchmark]
    rows = plan.rows(asked)
    names = set(asked.metrics if asked.metrics is not None else plan.params.metrics)
    who = {(row["model"], row["method"], row["detector"]) for row in rows}
    who |= {(weights.rsplit("-s", 1)[0], *rest) for weights, *rest in who}
    positions = {_place(row)[_DATASET:] for row in rows}
    curves = {(*position[:3], None, None) for position in positions}
    means = {(*position[:2], None, None, None) for position in positions}
    means |= {(*position[:2], FULL_SPECTRUM, None, None) for position in positions}
    groups = {group for group in asked.ood_groups.values() if group}
    steps = {None, *(position[-1] for position in positions)}
    means |= {(group, asked.split, None, None, step) for group in groups for step in steps}
    places = positions | curves | means
    beyond = _derived(plan, names, observed - names)
    for place in found:
        if place[-1] in beyond:
            continue
        if place[:_DATASET] not in who or place[_DATASET:-1] not in places or place[-1] not in names:
            yield place


def _derived(plan: Plan, names: set[str], observed: set[str]) -> set[str]:
    """Return what was observed, with the metrics that are derived from it, from these, and so on."""
    found, before = observed, set[str]()
    while found != before:
        before = found
        found = found | {name for name in names if not found.isdisjoint(_sources(plan, name))}
    return found


def _sources(plan: Plan, metric: str) -> tuple[str, ...]:
    """Return the metrics that one is derived from; none of one that is made from records."""
    module = registry.find("metrics", plan.params.use("metrics", metric))
    if not registry.defines(module, "sources"):
        return ()
    sources: tuple[str, ...] = module.sources(plan.params.options("metrics", metric))
    return sources


def _place(row: dict[str, Any]) -> Place:
    step = None if row["step"] is None else int(row["step"])
    return (*(row[name] for name in COLUMNS[:_SEVERITY]), row["severity"], step)


def spell(place: Place) -> str:
    """Return a row as a path, its metric first."""
    *parts, metric = place
    return f"{metric} of " + "/".join(
        f"{part:g}" if isinstance(part, float) else str(part) for part in parts if part is not None
    )
