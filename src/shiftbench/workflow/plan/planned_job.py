"""The jobs of a run as Snakemake sees them: what each waits for, how urgent it is, and whether it has work to do.

Snakemake knows a job by its *marker*, the empty file `logs/jobs/STAGE/JOB.done` below the output root. Receipts alone
state what is made. `PlannedJobs.mark` therefore writes all markers from receipts when a run begins: a marker exists
exactly if its job has nothing to do. The next run corrects any other change of a marker or of file times.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.base import files
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.workflow.plan import plan

MARKERS = "logs/jobs"
SUFFIX = ".done"
_WITHOUT_GPU = {"train": "cpu", "evaluate": "auto"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks of a run, on Snakemake's command line.

    Attributes:
        targets: names and markers; empty: `all`.
        again: stages and markers whose jobs are made again (`--forcerun`, `--forceall`), with all jobs that follow.
        until: stages and markers after which the run ends (`--until`).
    """

    targets: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    until: tuple[str, ...] = ()


EVERYTHING = Request()
"""The request of `snakemake` without arguments."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job of a run.

    Attributes:
        verb: its stage.
        name: its name within the stage: `digits/convnet-erm-s0`.
        root: the start of its paths: nothing, or the output root and a slash.
        title: its name on a terminal.
        outputs: paths of its outputs.
        needs: markers of the jobs that it waits for.
        runs: whether it has work to do.
        again: whether it makes all of its outputs, also those with a correct receipt.
        group: name of the cluster submission that it may share with other short jobs.
        seconds: its expected duration.
        priority: its expected seconds and those of the longest chain of jobs that waits for it.
        damaged: outputs whose bytes differ from their receipts, each with the fault.
    """

    verb: str
    name: str
    root: str
    title: str
    outputs: tuple[str, ...]
    needs: tuple[str, ...]
    runs: bool
    again: bool
    group: str | None
    seconds: float
    priority: int
    damaged: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """The file by which Snakemake knows the job."""
        return f"{self.root}{MARKERS}/{self.verb}/{self.name}{SUFFIX}"

    @property
    def log(self) -> str:
        """The file with the job's output on the terminal."""
        return f"{self.root}logs/{self.verb}/{self.name}.log"


@dataclass(frozen=True)
class PlannedJobs:
    """All jobs of a run, and the markers of the jobs behind each target that a user may name."""

    jobs: tuple[PlannedJob, ...]
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pages: Mapping[str, str | None] = field(default_factory=dict)
    """The requested reports, each with its configuration; pages of samples are left out."""

    @functools.cached_property
    def by_place(self) -> dict[tuple[str, str, str], PlannedJob]:
        """The jobs by root, stage and name."""
        return {(job.root, job.verb, job.name): job for job in self.jobs}

    @property
    def runs(self) -> bool:
        """Whether any job has work to do."""
        return any(job.runs for job in self.jobs)

    def stages(self) -> list[Stage]:
        """The answers to Snakemake's rules, one per stage, in the order of the data's path."""
        return [Stage(verb, self.by_place) for verb in plan.VERBS]

    def of_verb(self, verb: str) -> list[PlannedJob]:
        """The jobs of one stage."""
        return [job for job in self.jobs if job.verb == verb]

    def mark(self) -> None:
        """Write the marker of each job that has nothing to do, and remove all other markers.

        Raises:
            DataError: the folder of markers cannot be written.
        """
        folders = (row for root in {job.root for job in self.jobs} for row in os.walk(f"{root}{MARKERS}"))
        existing = {
            f"{folder}/{name}"
            for folder, subfolders, names in folders
            for name in (*names, *(name for name in subfolders if name.endswith(SUFFIX)))
        }
        planned = {job.marker for job in self.jobs if not job.runs}
        for marker in existing - planned:
            with files.writable(Path(marker)):
                os.unlink(marker)  # noqa: PTH108  # thousands
        for marker in planned - existing:
            with files.writable(Path(marker)):
                Path(marker).touch()

    def __add__(self, other: PlannedJobs) -> PlannedJobs:
        """The jobs of both; a target of both has the jobs of both."""
        targets = {
            name: (*self.targets.get(name, ()), *other.targets.get(name, ()))
            for name in {**self.targets, **other.targets}
        }
        return PlannedJobs((*self.jobs, *other.jobs), targets, {**self.pages, **other.pages})


NOTHING = PlannedJobs(())


@dataclass(frozen=True)
class Stage:
    """The answers to a rule of Snakemake about the jobs of its stage, which the wildcards `root` and `job` name."""

    verb: str
    jobs: Mapping[tuple[str, str, str], PlannedJob]

    def needs(self, wildcards: Any) -> list[str]:
        """The markers of the jobs that a job waits for."""
        return list(self._of(wildcards).needs)

    def priority(self, wildcards: Any) -> int:
        """The priority of a job."""
        return self._of(wildcards).priority

    def group(self, wildcards: Any) -> str | None:
        """The group whose jobs may share a submission."""
        return self._of(wildcards).group

    @property
    def again(self) -> str | Callable[[Any], str]:
        """The option `--again` of the command; a function of the job if any job has it."""
        if not any(job.again for job in self.jobs.values()):
            return ""  # Snakemake takes 0.2 ms to ask a function about a job
        return lambda wildcards: "--again" if self._of(wildcards).again else ""

    def device(self, wildcards: Any, resources: Any) -> str:  # noqa: ARG002  # Snakemake gives both
        """The device of a job: the GPU that Snakemake gave it, else the default of its stage."""
        return "cuda" if resources.get("gpu") else _WITHOUT_GPU[self.verb]

    def _of(self, wildcards: Any) -> PlannedJob:
        try:
            return self.jobs[wildcards.root, self.verb, wildcards.job]
        except KeyError:
            known = [name for _, verb, name in self.jobs if verb == self.verb]
            raise ParamsError(
                f"no job of {self.verb} is called {wildcards.job!r}; {suggest(wildcards.job, known)}"
            ) from None
