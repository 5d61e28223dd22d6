"""A plan made in this process, one job after another: no Snakemake, and nothing imported twice."""

from collections.abc import Collection, Iterator
from pathlib import Path

from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import verbs


def make(plan: Plan, root: Path, asked: Collection[Ref] = ()) -> int:
    """Make what is stale or missing of a plan.

    Args:
        plan: what to make; its recipes are written first.
        root: output root.
        asked: make these, with what they need; by default all that is planned.

    Returns:
        The number of outputs that were made.
    """
    plan.write(root)
    wanted = plan.out_of_date(root, asked) if asked else plan.artifacts.keys()
    made = 0
    for job in ordered(plan):
        if any(artifact.ref in wanted for artifact in job.artifacts):
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
