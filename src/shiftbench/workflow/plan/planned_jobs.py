"""The plan of a run: made once by the main process of Snakemake, read by its other processes.

A node of a cluster reads the Snakefile, too. A second plan there would differ: receipts change while other jobs
finish, params may be edited, and a node may lack the programs that download source files. The main process therefore
writes its planned jobs into `.snakemake/`, and the other processes read them.
"""

import gc
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.provenance import recipe, trust
from shiftbench.provenance.memo import digests
from shiftbench.workflow.plan import configurations, estimate, job_selection, plan, unavailable
from shiftbench.workflow.plan.job_selection import systems_of
from shiftbench.workflow.plan.planned_job import EVERYTHING, NOTHING, PlannedJob, PlannedJobs, Request

_FOLDER = Path(".snakemake")
_KEYS = ("params",)
_SHOWN = 5
"""Damaged outputs that a message names."""
_GC_THRESHOLDS = 50_000, 20, 100
"""Thresholds of Python's garbage collection: a plan lives to the end, and its default takes a third of the time."""


def load(config: Mapping[str, Any], *, main: bool, request: Request = EVERYTHING) -> PlannedJobs:
    """Plan a run, and write its recipes and markers and the jobs for other processes; or read these jobs.

    Args:
        config: Snakemake's; `params` names a configuration `params/NAME.yaml`.
        main: whether this is the process that a user started; it also prints what is left out.
        request: the user's request. Systems among its targets are planned; the configuration is for all others.

    Raises:
        ParamsError: wrong params, no such configuration or system, or an unknown key in `config`.
        ChecksumError: a pinned file of the user differs from its pin.
        DataError: a data set finds a fault in the user's files, such as a missing class.
        DataError: another process than the main one finds no jobs, or they cannot be written.
    """
    for key in config:
        if key not in _KEYS:
            raise ParamsError(f"--config {key}: unknown; {suggest(key, _KEYS)}")
    name = config.get("params")
    if not main:
        return _read(name)
    gc.set_threshold(*_GC_THRESHOLDS)
    trust.by_doing()  # the checkout's Snakefile runs already
    systems = sorted({system for target in request.targets for system in systems_of(target)})
    needs_configuration = not request.targets or not all(map(systems_of, request.targets))
    all_jobs = NOTHING
    for configuration in (*([name] if needs_configuration else []), *systems):
        planned, root = plan.load(configuration)
        user_files = unavailable.user_files(planned)
        unavailable.refuse(user_files)
        published = estimate.published_seconds(configuration)
        jobs = job_selection.select(planned, root, request, configuration, published)
        _refuse_chains(jobs, request.until)
        planned.write(root)
        digests(root).keep()
        _write(jobs, _file(configuration))
        ignored = [f"{file.path}: ignored {file.ignored}" for file in user_files if file.ignored]
        for line in (*planned.unavailable_sources, *ignored, *_repairs(jobs)):
            print(line, file=sys.stderr)  # noqa: T201  # as Snakemake prints: not on its output
        all_jobs += jobs
    all_jobs.mark()
    return all_jobs


def last_planned(config: str) -> PlannedJobs:
    """The jobs of a configuration that the last run here planned; empty without such a run."""
    return _of_file(_file(config)) if _file(config).is_file() else NOTHING


def _refuse_chains(planned: PlannedJobs, until: Collection[str]) -> None:
    """Refuse to end a run after a stage in which one job waits for another: Snakemake never starts the second.

    Raises:
        ParamsError: names both jobs, and another way to request the stage.
    """
    jobs = {job.marker: job for job in planned.jobs if job.runs and job.verb in until}
    for job in jobs.values():
        for need in jobs.keys() & {*job.needs}:
            targets = [name for name, verbs in job_selection.TARGETS.items() if job.verb in verbs]
            advice = f"use the target instead: `snakemake {targets[0]}`" if targets else "leave the option out"
            raise ParamsError(
                f"--until {job.verb}: {job.name} waits for {jobs[need].name} of the same stage, and Snakemake starts "
                f"no job that waits for a last job; {advice}, or name the stages that follow with --omit-from"
            )


def _repairs(planned: PlannedJobs) -> list[str]:
    """A line for each damaged output that the run repairs."""
    lines = [line for job in planned.jobs if job.runs for line in job.damaged]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [f"to repair: {line}" for line in [*lines[:_SHOWN], *more]]


# ---------------------------------------------------------------------- the file for other processes


def _file(config: str | None) -> Path:
    return _FOLDER / f"shiftbench-{(config or 'default').replace('/', '-')}.json"


def _write(planned: PlannedJobs, file: Path) -> None:
    names = PlannedJob.__slots__
    jobs = [{name: getattr(job, name) for name in names} for job in planned.jobs]
    content = {"jobs": jobs, "targets": dict(planned.targets), "pages": dict(planned.pages)}
    files.write_bytes(file, recipe.canonical(content).encode())


def _read(config: str | None) -> PlannedJobs:
    """The jobs that the main process wrote: those of a configuration, and those of all systems."""
    candidates = [_file(config), *sorted(_FOLDER.glob(f"shiftbench-{configurations.SYSTEMS}-*.json"))]
    existing = [file for file in candidates if file.is_file()]
    if not existing:
        raise DataError(
            f"{candidates[0].resolve()} does not exist: the run that started this process has another folder; "
            "start the run in a folder that all nodes share (docs/clusters.md)"
        )
    return sum(map(_of_file, existing), NOTHING)


def _of_file(file: Path) -> PlannedJobs:
    """The jobs in a file.

    Raises:
        DataError: the file is damaged.
    """
    try:
        content = files.from_json(file.read_bytes())
        jobs = tuple(PlannedJob(**_with_tuples(job)) for job in content["jobs"])
        return PlannedJobs(jobs, _with_tuples(content["targets"]), dict(content["pages"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{file} is damaged ({error}); start the run again, which writes it") from None


def _with_tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
