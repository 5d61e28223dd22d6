"""Nets trained again, in a process of its own: `python -m shiftbench.audit.reproduce.training_worker SPEC`.

A task names a recipe file of one artifact. The stage puts weights and log below the worker's own root, where the
auditor reads them.
"""

import sys
from pathlib import Path

from shiftbench.audit.reproduce.worker import Answer, Task, guarded, read_spec, watched, write_answers
from shiftbench.provenance.recipe import Run
from shiftbench.workflow.stages import train


def make(task: Task, _: Path) -> Answer:
    """Train what a task names; return what was opened or run that nothing names."""
    run = Run(Path(task["recipe"]))
    for artifact in run.job.artifacts:
        run.path(artifact.ref).parent.mkdir(parents=True, exist_ok=True)
    with watched(run) as undeclared:
        train.run(run, list(run.job.artifacts))
    return {"undeclared": undeclared()}


def main(file: Path) -> None:
    """Read a specification, write the answers beside it."""
    spec = read_spec(file)
    write_answers(file, [guarded(make, task, file.parent) for task in spec["tasks"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
