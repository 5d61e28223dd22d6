"""Rows that the table of a benchmark must have, and rows that it may have."""

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
"""Kind of a metric -> whether its rows have a detector, and whether they are about OOD sets. Rows of other kinds
(failures, paths, curves) depend on the records; the second implementation in `aggregates` has them."""


def required(plan: Plan, benchmark: str) -> set[Place]:
    """Rows that a table must have, as values of COLUMNS."""
    requested = plan.benchmarks[benchmark]
    names = requested.metrics if requested.metrics is not None else tuple(plan.params.metrics)
    kinds = {name: registry.find("metrics", plan.params.use("metrics", name)).KIND for name in names}
    return {
        (*_place(row), name)
        for row in plan.rows(requested)
        for name, kind in kinds.items()
        if _REQUIRED.get(kind) == (row["detector"] is not None, row["ood"])
    }


def foreign(plan: Plan, benchmark: str, rows_here: set[Place], observed: set[str]) -> Iterator[Place]:
    """Yield the rows of a table that have no planned condition, model, detector or metric.

    Allowed are means over training seeds, over OOD sets of a group, over shifts and over severities. Metrics that
    the benchmark's analyses observed, and metrics that are derived from these, may have any row.
    """
    requested = plan.benchmarks[benchmark]
    rows = plan.rows(requested)
    names = set(requested.metrics if requested.metrics is not None else plan.params.metrics)
    evaluated = {(row["model"], row["method"], row["detector"]) for row in rows}
    evaluated |= {(model.rsplit("-s", 1)[0], *rest) for model, *rest in evaluated}
    conditions = {_place(row)[_DATASET:] for row in rows}
    curves = {(*condition[:3], None, None) for condition in conditions}
    means = {(*condition[:2], None, None, None) for condition in conditions}
    means |= {(*condition[:2], FULL_SPECTRUM, None, None) for condition in conditions}
    groups = {group for group in requested.ood_groups.values() if group}
    steps = {None, *(condition[-1] for condition in conditions)}
    means |= {(group, requested.split, None, None, step) for group in groups for step in steps}
    places = conditions | curves | means
    observed_metrics = _derived(plan, names, observed - names)
    for place in rows_here:
        if place[-1] in observed_metrics:
            continue
        if place[:_DATASET] not in evaluated or place[_DATASET:-1] not in places or place[-1] not in names:
            yield place


def _derived(plan: Plan, names: set[str], observed: set[str]) -> set[str]:
    """Observed metrics, and all metrics that are derived from them."""
    derived, before = observed, set[str]()
    while derived != before:
        before = derived
        derived = derived | {name for name in names if not derived.isdisjoint(_sources(plan, name))}
    return derived


def _sources(plan: Plan, metric: str) -> tuple[str, ...]:
    """Metrics that a metric is derived from; empty if it is made from records."""
    module = registry.find("metrics", plan.params.use("metrics", metric))
    if not registry.defines(module, "sources"):
        return ()
    sources: tuple[str, ...] = module.sources(plan.params.options("metrics", metric))
    return sources


def _place(row: dict[str, Any]) -> Place:
    step = None if row["step"] is None else int(row["step"])
    return (*(row[name] for name in COLUMNS[:_SEVERITY]), row["severity"], step)


def spell(place: Place) -> str:
    """A row as a path, its metric first."""
    *parts, metric = place
    return f"{metric} of " + "/".join(
        f"{part:g}" if isinstance(part, float) else str(part) for part in parts if part is not None
    )
