"""A run without Snakemake: the jobs of a plan in this process, one after another."""

from collections.abc import Collection, Iterator
from pathlib import Path

from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import verbs


def make(plan: Plan, root: Path, goals: Collection[Ref] = ()) -> int:
    """Make the stale and missing outputs of a plan.

    Args:
        plan: the plan; its recipes are written first.
        root: output root.
        goals: outputs to make, with their inputs; empty: all planned outputs.

    Returns:
        The number of outputs that were made.
    """
    plan.write(root)
    selected = plan.out_of_date(root, goals) if goals else plan.artifacts.keys()
    count = 0
    for job in ordered(plan):
        if any(artifact.ref in selected for artifact in job.artifacts):
            count += recipe.execute(root / job.recipe_path, verbs.RUN[job.verb])
    return count


def ordered(plan: Plan) -> Iterator[Job]:
    """Yield all jobs in an order that their inputs allow."""
    todo = list(plan.jobs.values())
    while todo:
        unmade = {artifact.ref for job in todo for artifact in job.artifacts}
        job = next(job for job in todo if unmade.isdisjoint(job.inputs))
        todo.remove(job)
        yield job
