"""`plan --estimate`: jobs, hours and GB before anything starts.

Rates are rough, measured on two x86-64 cores without a GPU; where run files of the
same stage exist here, their times replace the rates. A job that was published takes what it took
then; a system's others in sum what its published run took.
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
    "claims": 0.05,
    "samples": 0.9,
    "report": 1.5,
}
"""Size of one output of a kind in 10^6 bytes, likewise."""
TOOK = "seconds.json.gz"
"""Of what is published of a scale: what its jobs took."""
_MOST = 1 << 24
"""Bytes that are read of it: 200,000 jobs."""


def table(plan: Plan, root: Path) -> list[dict[str, Any]]:
    """Return one row per stage: jobs, outputs, how they stand, and what is left in hours and GB.

    Hours are of one process; a machine with two cores runs two at a time.
    """
    states = plan.status(root)
    rows = []
    for verb in plans.VERBS:
        jobs = plan.of_verb(verb)
        stand = {job.name: states[f"{verb}/{job.name}"] for job in jobs}
        flat = [state for of_job in stand.values() for state in of_job.items()]
        fresh, missing = (sum(state == wanted for _, state in flat) for wanted in ("fresh", "missing"))
        open_jobs = [job for job in jobs if any(state != "fresh" for state in stand[job.name].values())]
        size = sum(MEGABYTES[ref.kind] for ref, state in flat if state != "fresh")
        rows.append(
            {
                "stage": verb,
                "jobs": len(jobs),
                "outputs": len(flat),
                "fresh": fresh,
                "stale": len(flat) - fresh - missing,
                "missing": missing,
                "hours": round(len(open_jobs) * _seconds(verb, jobs, root) / 3600, 3),
                "GB": round(size / 1000, 3),
            }
        )
    return rows


def _seconds(verb: str, jobs: list[Job], root: Path) -> float:
    times = [time for job in jobs if (time := _measured(job, root)) is not None]
    return sum(times) / len(times) if times else SECONDS[verb]


def seconds(plan: Plan, root: Path, known: Mapping[str, float], asked: Collection[str]) -> dict[str, float]:
    """Return what each job is expected to take, by its rule.

    Args:
        plan: the plan.
        root: its output root.
        known: what jobs took where they were published (`published`).
        asked: those jobs, as in `plan.jobs`, of which it matters what they took here before. The rate of its stage is
            what is expected of a job of which nothing is known.
    """
    jobs = plan.jobs.values()
    rate = _whole(plan) / (sum(SECONDS[job.verb] for job in jobs) or 1.0)
    rates = {job.rule: rate * SECONDS[job.verb] for job in jobs}
    here = took(map(plan.jobs.__getitem__, asked), root)
    return {**rates, **{rule: known[rule] for rule in rates if rule in known}, **here}


def took(jobs: Iterable[Job], root: Path) -> dict[str, float]:
    """Return what jobs took here, by their rules: those that have a run file."""
    times = {job.rule: _measured(job, root) for job in jobs}
    return {rule: time for rule, time in times.items() if time is not None}


def published(config: str | None, home: Path = Path()) -> dict[str, float]:
    """Return what the jobs of a scale took where it was published, by their rules.

    Nothing where it was not published, or where the file is damaged: it only informs.
    """
    file = configurations.published(config, home) / TOOK
    try:
        with gzip.open(file) as packed:
            found = from_json(packed.read(_MOST))  # a few bytes could unpack to a gigabyte
    except (OSError, EOFError, zlib.error, ValueError):
        return {}
    times = found.items() if isinstance(found, dict) else ()
    return {rule: float(time) for rule, time in times if run_files.is_time(time)}


def packed(times: Mapping[str, float]) -> bytes:
    """Return the file of `published`."""
    return gzip.compress(json.dumps(times, sort_keys=True).encode(), mtime=0)


def _whole(plan: Plan) -> float:
    """Return what all jobs together take by the rates, or by a system's published run at the scale of the plan."""
    of = plan.params.system
    if of and of.scale == configurations.DEFAULT:
        file = cards.file(of.slug).with_name("measured.json")
        minutes = run_files.time(file, "minutes")
        if minutes:
            return 60.0 * minutes
    return sum(SECONDS[job.verb] for job in plan.jobs.values())


def _measured(job: Job, root: Path) -> float | None:
    times = (run_files.time(f"{root}/{path}.run.json", "seconds") for path in job.outputs)
    return max((time for time in times if time is not None), default=None)


def spell(value: object) -> str:
    """Spell a cell of the table."""
    return f"{value:g}" if isinstance(value, float) else str(value)
