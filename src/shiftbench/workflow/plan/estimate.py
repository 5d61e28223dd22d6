"""`plan --estimate`: jobs, hours and GB of a run before it starts.

Rates are rough; they were measured on two x86-64 cores without a GPU. Times in run files of the same stage replace the
rates. A published job is expected to take its published time, and the other jobs of a system together the time of its
published run.
"""

import gzip
import json
import zlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from shiftbench.base.files import from_json
from shiftbench.provenance import run_files
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.plan import Plan

SECONDS = {"fetch": 0.7, "shift": 1.1, "train": 28.0, "evaluate": 18.0, "score": 0.3, "aggregate": 1.8, "report": 1.8}
"""Seconds of one job that starts warm: means of the default benchmark."""
MEGABYTES = {
    "sources": 23.0,
    "shards": 3.5,
    "previews": 0.05,
    "checkpoints": 4.9,
    "records": 0.12,
    "features": 1.3,
    "scores": 0.06,
    "searches": 0.01,
    "overlaps": 0.01,
    "analyses": 0.05,
    "tables": 4.2,
    "released": 0.5,
    "claims": 0.05,
    "samples": 0.9,
    "report": 1.5,
}
"""Mean size of one output of a kind in the default benchmark, in 10^6 bytes."""
SECONDS_FILE = "seconds.json.gz"
"""The published file with the seconds of a configuration's jobs."""
_MOST_BYTES = 1 << 24
"""Most bytes that are read from this file: 200,000 jobs."""


def table(plan: Plan, root: Path) -> list[dict[str, Any]]:
    """One row per stage: jobs, outputs by state, and the remaining hours and GB.

    Hours are of one process; a machine with two cores runs two at a time.
    """
    states = plan.status(root)
    rows = []
    for verb in plans.VERBS:
        jobs = plan.of_verb(verb)
        job_states = {job.name: states[f"{verb}/{job.name}"] for job in jobs}
        outputs = [output for states_of_job in job_states.values() for output in states_of_job.items()]
        fresh, missing = (sum(state == name for _, state in outputs) for name in ("fresh", "missing"))
        open_jobs = [job for job in jobs if any(state != "fresh" for state in job_states[job.name].values())]
        size = sum(MEGABYTES[ref.kind] for ref, state in outputs if state != "fresh")
        rows.append(
            {
                "stage": verb,
                "jobs": len(jobs),
                "outputs": len(outputs),
                "fresh": fresh,
                "stale": len(outputs) - fresh - missing,
                "missing": missing,
                "hours": round(len(open_jobs) * _seconds(verb, jobs, root) / 3600, 3),
                "GB": round(size / 1000, 3),
            }
        )
    return rows


def _seconds(verb: str, jobs: list[Job], root: Path) -> float:
    times = [time for job in jobs if (time := _measured(job, root)) is not None]
    return sum(times) / len(times) if times else SECONDS[verb]


def seconds(plan: Plan, root: Path, published: Mapping[str, float], names: Collection[str]) -> dict[str, float]:
    """The expected seconds of each job, by its rule.

    Args:
        plan: the plan.
        root: its output root.
        published: seconds of the published jobs (`published_seconds`).
        names: jobs, as in `plan.jobs`, whose earlier run files here are read. A job without any known time is expected
            to take the mean of its stage.
    """
    jobs = plan.jobs.values()
    rate = _total_seconds(plan) / (sum(SECONDS[job.verb] for job in jobs) or 1.0)
    rates = {job.rule: rate * SECONDS[job.verb] for job in jobs}
    measured = measured_seconds(map(plan.jobs.__getitem__, names), root)
    return {**rates, **{rule: published[rule] for rule in rates if rule in published}, **measured}


def measured_seconds(jobs: Iterable[Job], root: Path) -> dict[str, float]:
    """Seconds of the jobs with a run file here, by their rules."""
    times = {job.rule: _measured(job, root) for job in jobs}
    return {rule: time for rule, time in times.items() if time is not None}


def published_seconds(config: str | None, home: Path = Path()) -> dict[str, float]:
    """Published seconds of the jobs of a configuration, by their rules; empty if unpublished or damaged."""
    file = configurations.published_folder(config, home) / SECONDS_FILE
    try:
        with gzip.open(file) as stream:
            content = from_json(stream.read(_MOST_BYTES))  # a few bytes could unpack to a gigabyte
    except (OSError, EOFError, zlib.error, ValueError):
        return {}
    times = content.items() if isinstance(content, dict) else ()
    return {rule: float(time) for rule, time in times if run_files.is_time(time)}


def pack(times: Mapping[str, float]) -> bytes:
    """The bytes of the file that `published_seconds` reads."""
    return gzip.compress(json.dumps(times, sort_keys=True).encode(), mtime=0)


def _total_seconds(plan: Plan) -> float:
    """Seconds of all jobs together, from the published run of a system or else from the rates."""
    system = plan.params.system
    if system and system.scale == configurations.DEFAULT:
        file = cards.file(system.slug).with_name("measured.json")
        minutes = run_files.time(file, "minutes")
        if minutes:
            return 60.0 * minutes
    return sum(SECONDS[job.verb] for job in plan.jobs.values())


def _measured(job: Job, root: Path) -> float | None:
    times = (run_files.time(f"{root}/{path}.run.json", "seconds") for path in job.outputs)
    return max((time for time in times if time is not None), default=None)


def cell_text(value: object) -> str:
    """A cell of the table as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)
