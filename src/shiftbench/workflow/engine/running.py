"""A run of Snakemake that a command starts, and its result for each configuration."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftbench.provenance import child_environment, run_files, trust
from shiftbench.workflow.plan import planned_jobs
from shiftbench.workflow.plan.planned_job import PlannedJob


def run(targets: Sequence[str], cores: int) -> int:
    """Let Snakemake make targets, also after failed jobs as far as possible; returns its exit status.

    Raises:
        UntrustedError: the checkout is not trusted.
    """
    trust.require("Snakemake would run its Snakefile")
    command = ["-m", "snakemake", "--cores", str(cores), "--keep-going", "--", *targets]
    environment = child_environment.build(child_environment.RUN)
    with subprocess.Popen([sys.executable, "-P", *command], env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # Snakemake gets it from the terminal, too, and ends its jobs
                continue


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run for one configuration.

    Attributes:
        jobs: number of jobs that made something.
        seconds: their processor time; wall time if an older run file has nothing else.
        unfinished: titles of the planned jobs that did not finish.
    """

    jobs: int
    seconds: float
    unfinished: tuple[str, ...]


def result(config: str, start: float) -> RunResult:
    """The result of a run for a configuration.

    Args:
        config: as in `planned_jobs.last_planned`.
        start: the time when the run began, in seconds since 1970.
    """
    jobs = planned_jobs.last_planned(config).jobs
    times = [seconds for job in jobs if (seconds := _seconds(job, start)) is not None]
    unfinished = [job.title for job in jobs if job.runs and not Path(job.marker).exists()]
    return RunResult(len(times), sum(times), tuple(unfinished))


def _seconds(job: PlannedJob, start: float) -> float | None:
    """Seconds of a job, from the run files that it wrote since then; each counts from the start of the job."""
    times = [
        run_files.time(file, "cpu_seconds", "seconds")
        for output in job.outputs
        if (file := Path(f"{output}.run.json")).is_file() and file.stat().st_mtime >= start
    ]
    return max((time for time in times if time is not None), default=None)
