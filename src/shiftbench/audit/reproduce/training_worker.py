"""Models trained again, in a process of their own: `python -m shiftbench.audit.reproduce.training_worker SPEC`.

A task names a recipe file. The stage writes checkpoint and log below the worker's own root, where the auditor reads
them.
"""

from pathlib import Path

from shiftbench.audit.reproduce.worker import Answer, Task, answer_or_error, serve, watch
from shiftbench.provenance.recipe import Run
from shiftbench.workflow.stages import train


def make(task: Task, _: Path) -> Answer:
    """Train what a task names; the answer lists what was opened or run without being in a recipe."""
    run = Run(Path(task["recipe"]))
    for artifact in run.job.artifacts:
        run.path(artifact.ref).parent.mkdir(parents=True, exist_ok=True)
    with watch(run) as undeclared:
        train.run(run, list(run.job.artifacts))
    return {"undeclared": undeclared()}


if __name__ == "__main__":
    serve(lambda tasks, out, _: [answer_or_error(make, task, out) for task in tasks])
