"""A plan made in this process and watched: which definitions ran in a job, and which of them its recipes lack."""

from functools import partial
from pathlib import Path

from shiftbench.provenance import ran, recipe
from shiftbench.provenance.ran import Ran
from shiftbench.provenance.recipe import Artifact, Job, Run
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages import verbs
from shiftbench.workflow.tools import run_local


def make(plan: Plan, root: Path) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """Make a plan; return by job the definitions that ran, and those that its recipes lack.

    Originals have no code in their recipes: their bytes are stated.
    """
    plan.write(root)
    did: dict[str, set[str]] = {}
    lacking: dict[str, list[str]] = {}
    for job in run_local.ordered(plan):
        recipe.execute(root / job.recipe_path, partial(_make, job, did, lacking))
    return did, lacking


def _make(job: Job, did: dict[str, set[str]], lacking: dict[str, list[str]], run: Run, todo: list[Artifact]) -> None:
    with ran.watched() as code:
        verbs.RUN[job.verb](run, todo)
    name = f"{job.verb}/{job.name}"
    did[name] = _named(code)
    unlisted = code.unlisted(artifact.recipe for artifact in todo)
    if unlisted and job.verb != "fetch":
        lacking[name] = unlisted


def _named(code: Ran) -> set[str]:
    """Return the definitions that ran for the job, not for an import."""
    return {one.name for _, imports, one in code.definitions() if not imports}
