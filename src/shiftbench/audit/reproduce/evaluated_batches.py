"""Drawn batches evaluated again, once for all checks of level 3."""

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import environments
from shiftbench.audit.finding import Finding
from shiftbench.audit.reproduce import row_comparison
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Work
from shiftbench.audit.reproduce.row_comparison import Comparison
from shiftbench.base import registry
from shiftbench.base.errors import ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import schema, shards
from shiftbench.provenance.recipe import Artifact, Job

_AT_ONCE = 2


@dataclass
class Group(Work):
    """The evaluations of one (model, method), and their results.

    Attributes:
        job: of all artifacts.
        batches: name of records -> numbers of the drawn batches.
        first: the first records of the run, whose data are used for measurements.
        comparisons: one per condition with a drawn batch.
    """

    job: Job
    batches: dict[str, list[int]]
    first: Artifact
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """All artifacts of the job."""
        return self.job.artifacts

    @property
    def error(self) -> str | None:
        """Why the batches could not be evaluated again; None: they were."""
        return self.answer.get("error")

    @property
    def exact(self) -> bool:
        """Whether all compared rows are equal."""
        return not self.error and not any(one.other for one in self.comparisons)

    @property
    def sees(self) -> str:
        """What the method sees at once: `sample`, `batch` or `stream`."""
        return str(_method(self.first).SEES)


@dataclass
class Evaluated:
    """All batches that were evaluated again, and findings about those that could not be."""

    groups: list[Group] = field(default_factory=list)
    problems: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> list[Group]:
        """The groups without an error."""
        return [group for group in self.groups if not group.error]


@functools.lru_cache(maxsize=1)
def evaluate_again(case: Case) -> Evaluated:
    """Evaluate drawn batches again, once per case for four checks."""
    done, checkout = Evaluated(), IsolatedCheckout(case, "evaluated")
    for job in case.plan.of_verb("evaluate"):
        group = _group(case, job, checkout, done.problems)
        if group:
            done.groups.append(group)
    if done.groups:  # over at most two processes, and not more than there are CPUs for their threads
        threads = max(int(group.first.recipe["threads"]) for group in done.groups)
        count = max(1, min(_AT_ONCE, len(os.sched_getaffinity(0)) // threads))
        queues = [done.groups[first::count] for first in range(count)]
        checkout.do("model_worker", queues, lambda group: _task(case, group, checkout), varied=False)
    for group in done.groups:
        group.comparisons = list(_comparisons(case, group))
    return done


# ------------------------------------------------------------------ what is drawn


def _group(case: Case, job: Job, checkout: IsolatedCheckout, problems: list[Finding]) -> Group | None:
    """Draw batches of one (model, method) over all conditions that can be evaluated again; note the others."""
    records = [artifact for artifact in job.artifacts if artifact.ref.kind == "records"]
    here = []
    for artifact in records:
        lack = _lack(case, artifact, checkout)
        if lack:
            problems.append(case.incomplete(artifact.ref, lack))
        else:
            here.append(artifact)
    if not here:
        return None
    if _method(here[0]).SEES == "stream" and len(here) < len(records):
        why = "its method adapts along the stream, of which a part is missing; `shiftbench pull` fetches it"
        problems.append(case.incomplete(here[0].ref, why))
        return None
    places = [(artifact.ref.name, number) for artifact in here for number in range(_count(case, artifact))]
    batches: dict[str, list[int]] = {}
    for at in case.draw(f"batches of {job.name}", len(places), case.count):
        name, number = places[at]
        batches.setdefault(name, []).append(number)
    by_name = {artifact.ref.name: artifact for artifact in here}
    order = [artifact.ref.name for artifact in job.artifacts]  # of the run: features come first
    return Group(job, batches, by_name[next(name for name in order if name in by_name)])


def _method(artifact: Artifact) -> ModuleType:
    return registry.find("methods", artifact.recipe["method"]["use"])


def _lack(case: Case, artifact: Artifact, checkout: IsolatedCheckout) -> str:
    """Why records cannot be evaluated again; empty: they can."""
    if not (case.root / artifact.ref.path).is_file():
        return "these records are missing, so that no batch was evaluated again; `shiftbench pull` fetches them"
    lack = checkout.lack(artifact)
    return f"no batch could be evaluated again{lack}" if lack else ""


def _count(case: Case, artifact: Artifact) -> int:
    """Number of batches."""
    data = next(ref for ref in artifact.inputs if ref.kind == "shards" and ref.name == artifact.recipe["data"])
    samples: int = shards.manifest(case.folder(data))["samples"]
    return -(-samples // int(artifact.recipe["batch_size"]))


def _task(case: Case, group: Group, checkout: IsolatedCheckout) -> dict[str, Any]:
    runs = {name: case.run_file(Ref("records", name)) or {} for name in group.batches}
    devices = [str(run.get("device") or "cpu") for run in runs.values()]
    return {
        "recipe": checkout.job("evaluate", group.job.name, group.job.artifacts),
        "batches": group.batches,
        "sizes": {name: run.get("batch_size") for name, run in runs.items()},
        "device": "cuda" if any(device.startswith("cuda") for device in devices) else "cpu",
        "first": group.first.ref.name,
        "alone": True,
    }


# ------------------------------------------------------------------ how it compares


def _comparisons(case: Case, group: Group) -> Iterator[Comparison]:
    artifacts = {(artifact.ref.kind, artifact.ref.name): artifact for artifact in group.job.artifacts}
    for visit in group.answer.get("visits", ()):
        artifact = artifacts["records", visit["name"]]
        made = schema.read(Path(visit["rows"]))
        try:
            recorded = schema.read(case.root / artifact.ref.path)
        except (ShiftbenchError, OSError, pa.ArrowException) as error:
            yield Comparison(artifact, 0, ["the table"], [f"that it cannot be read: {error}"])
            continue
        comparison = row_comparison.rows(artifact, recorded, made)
        kept = artifacts.get(("features", visit["name"]))
        if kept and not comparison.hard:
            file = case.root / kept.ref.path
            for part, name in (("features", file.name), ("logits", f"{file.stem}.logits.npy")):
                if part in visit and file.with_name(name).is_file():
                    again = Path(visit[part])
                    row_comparison.arrays(comparison, file.with_name(name), again, part, recorded, made)
        yield comparison


def reasons(case: Case, group: Group) -> list[str]:
    """Differences of environment and device from the run."""
    lines: dict[str, None] = {}
    for artifact in [one.artifact for one in group.comparisons] or [group.first]:
        run = case.run_file(artifact.ref) or {}
        lines |= dict.fromkeys(environments.reasons(run.get("environment"), group.environment))
        then, now = str(run.get("device") or "cpu"), str(group.answer.get("device"))
        if then.partition(":")[0] != now.partition(":")[0]:
            lines[f"device {then} -> {now}"] = None
    return list(lines)
