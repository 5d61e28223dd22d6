"""A whole plan made in this process, one job after another: no Snakemake, and nothing imported twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shiftbench.plan.plan import Plan
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.stages import verbs


def make(plan: Plan, root: Path) -> int:
    """Make what is stale or missing of a plan.

    Args:
        plan: what to make; its recipes are written first.
        root: output root.

    Returns:
        The number of outputs that were made.
    """
    plan.write(root)
    made = 0
    for job in ordered(plan):
        made += recipe.execute(root / job.recipe_path, verbs.RUN[job.verb])
    return made


def ordered(plan: Plan) -> Iterator[Job]:
    """Yield all jobs in an order that their inputs allow."""
    todo = list(plan.jobs.values())
    while todo:
        open_ = {artifact.ref for job in todo for artifact in job.artifacts}
        job = next(job for job in todo if open_.isdisjoint(job.inputs))
        todo.remove(job)
        yield job
