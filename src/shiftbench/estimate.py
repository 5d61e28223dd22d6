"""`plan --estimate`: jobs, hours and GB before anything starts.

Rates are rough, measured on two x86-64 cores without a GPU (docs/design.md); where run files of the
same stage exist here, their times replace the rates.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shiftbench import plan as plans
from shiftbench.plan import Plan
from shiftbench.recipe import Job

SECONDS = {
    "fetch": 5.0,
    "shift": 4.0,
    "train": 40.0,
    "evaluate": 14.0,
    "score": 2.0,
    "aggregate": 3.0,
    "report": 3.0,
}
"""Seconds of one job, its imports included: means of the default campaign."""
MEGABYTES = {
    "fetch": 23.0,
    "shift": 1.9,
    "train": 4.9,
    "evaluate": 0.2,
    "score": 0.1,
    "aggregate": 0.1,
    "report": 8.0,
}
"""Size of one output in 10^6 bytes, likewise."""


def table(plan: Plan, root: Path) -> list[dict[str, Any]]:
    """Return one row per stage: jobs, outputs, how they stand, and what is left in hours and GB.

    Hours are of one process; a machine with two cores runs two at a time.
    """
    states = plan.status(root)
    rows = []
    for verb in plans.VERBS:
        jobs = plan.of_verb(verb)
        stand = {job.name: list(states[f"{verb}/{job.name}"].values()) for job in jobs}
        flat = [state for states_of_job in stand.values() for state in states_of_job]
        fresh, missing = flat.count("fresh"), flat.count("missing")
        open_jobs = [job for job in jobs if any(state != "fresh" for state in stand[job.name])]
        rows.append(
            {
                "stage": verb,
                "jobs": len(jobs),
                "outputs": len(flat),
                "fresh": fresh,
                "stale": len(flat) - fresh - missing,
                "missing": missing,
                "hours": round(len(open_jobs) * _seconds(verb, jobs, root) / 3600, 3),
                "GB": round((len(flat) - fresh) * MEGABYTES[verb] / 1000, 3),
            }
        )
    return rows


def _seconds(verb: str, jobs: list[Job], root: Path) -> float:
    times = [time for job in jobs if (time := _measured(job, root)) is not None]
    return sum(times) / len(times) if times else SECONDS[verb]


def _measured(job: Job, root: Path) -> float | None:
    times = [
        json.loads(file.read_text())["seconds"]
        for path in job.outputs
        if (file := root / f"{path}.run.json").is_file()
    ]
    return max(times) if times else None


def spell(value: object) -> str:
    """Spell a cell of the table."""
    return f"{value:g}" if isinstance(value, float) else str(value)
