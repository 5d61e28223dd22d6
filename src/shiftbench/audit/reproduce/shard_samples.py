"""Samples of shards that can be made again by the recipes of this checkout, and their comparison."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import byte_differences, environments
from shiftbench.audit.finding import Finding, Verdict
from shiftbench.audit.reproduce.isolation import IsolatedCheckout, Remade
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.data.shards import Entry
from shiftbench.provenance.recipe import Artifact

AT_ONCE = 2  # processes; each has one CPU
SHOWN = 3  # samples of one folder that are explained; the others are counted


@dataclass(frozen=True)
class Folder:
    """A folder of shards that is here, as its index and manifest state it."""

    ref: Ref
    artifact: Artifact
    entries: list[Entry]
    about: dict[str, Any]


@dataclass
class Task(Remade):
    """Samples of one output that are made again, and the result.

    Attributes:
        of: the folder of shards; None for previews.
        expected: key -> sha256 and pixel digest, in the order of work; for previews only the keys.
        alone: whether in a process that does nothing else.
    """

    of: Folder | None
    expected: dict[str, Any]
    alone: bool = False

    @property
    def work(self) -> float:
        """Approximate work: samples by their size, and reading all source files for clean shards."""
        if self.of is None:
            return 1e5
        share = len(self.expected) / max(1, len(self.of.entries))
        size = sum(entry.size for entry in self.of.entries)
        return size * (share + ("dataset" in self.artifact.recipe)) + 1e5


@dataclass
class Samples:
    """Makes samples again in another environment; `name` is that of a folder in the scratch of the case."""

    case: Case
    name: str
    problems: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folder."""
        self.checkout = IsolatedCheckout(self.case, self.name)

    def folders(self) -> Iterator[Folder]:
        """Yield the planned folders of shards that are here with all their inputs; note the others."""
        for ref, artifact in self.case.plan.artifacts.items():
            if ref.kind == "shards":
                folder = self._folder(ref, artifact)
                if folder and self._can(artifact, f"{len(folder.entries)} samples"):
                    yield folder

    def _folder(self, ref: Ref, artifact: Artifact) -> Folder | None:
        place = self.case.folder(ref)
        if not (place / shards.MANIFEST).is_file() or not (place / shards.INDEX).is_file():
            why = "these shards are missing, so that no sample was made again"
            self.problems.append(self.case.incomplete(ref, f"{why}{forbidden(ref)}"))
            return None
        try:
            return Folder(ref, artifact, shards.index(place), shards.manifest(place))
        except (DataError, ValueError, KeyError, OSError) as error:
            why = f"its index cannot be read, so that no sample can be compared: {error}"
            self.problems.append(self.case.failed(ref, why))
            return None

    def _can(self, artifact: Artifact, what: str) -> bool:
        """Whether all inputs of an artifact are here; notes what is missing."""
        lack = self.checkout.lack(artifact)
        if lack:
            self.problems.append(self.case.incomplete(artifact.ref, f"{what} could not be made again{lack}"))
        return not lack

    def previews(self) -> Iterator[Artifact]:
        """Yield the planned previews that are here with their inputs; note the others."""
        for ref, artifact in self.case.plan.artifacts.items():
            if ref.kind != "previews":
                continue
            if (self.case.root / ref.path).is_file():
                if self._can(artifact, "it"):
                    yield artifact
            else:
                why = f"this preview is missing, so that it was not made again{forbidden(ref)}"
                self.problems.append(self.case.incomplete(ref, why))

    def make(self, tasks: list[Task]) -> None:
        """Do the tasks, in as many processes as there are CPUs (at most two); each task gets its answer."""
        queues: list[list[Task]] = [[] for _ in range(min(AT_ONCE, len(os.sched_getaffinity(0))))]
        for task in sorted(tasks, key=lambda task: -task.work):
            min(queues, key=lambda queue: sum(one.work for one in queue)).append(task)
        self.checkout.do("shard_worker", queues, self._spec, varied=True)

    def _spec(self, task: Task) -> dict[str, Any]:
        file = self.checkout.job("shift", f"{task.ref.kind}/{task.ref.name}", [task.artifact])
        return {"recipe": file, "expected": task.expected, "alone": task.alone}


def forbidden(ref: Ref) -> str:
    """A text that says that a licence keeps an output out of clones; empty if none does."""
    return "; a licence forbids sharing" if ref.local else ""


def expected(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Digests of samples, in the order of work."""
    return {entry.key: [entry.sha256, entry.pixels] for entry in entries}


def judge(case: Case, task: Task, what: str) -> Iterator[Finding]:
    """Yield findings about the answer of a task; `what` is how the samples were made, in a few words."""
    if "error" in task.answer:
        yield case.failed(task.ref, f"{what}, it gives an error: {task.answer['error']}")
    elif task.of is None:
        yield from _preview(case, task, what)
    else:
        yield from _differing(case, task, task.of, what)


def _differing(case: Case, task: Task, folder: Folder, what: str) -> Iterator[Finding]:
    """Yield the samples that differ, the failed ones first."""
    at = {entry.key: entry for entry in folder.entries}
    differ = [(*_verdict(case, task, at[one["key"]], one["found"]), one) for one in task.answer["differ"]]
    for verdict, why, one in sorted(differ, key=lambda difference: difference[0])[:SHOWN]:
        entry = at[one["key"]]
        file = case.folder(task.ref).joinpath(entry.tar).relative_to(case.root).as_posix()
        packed = byte_differences.remade_sample(case, task.ref, entry.key)
        packed.parent.mkdir(parents=True, exist_ok=True)
        packed.write_bytes(Path(one["file"]).read_bytes())
        case.mismatches.append((task.ref, file, (entry.key,)))
        rest = f" ({len(differ)} of {len(task.expected)} samples)" if len(differ) > 1 else ""
        yield case.finding(
            verdict,
            task.ref,
            f"{what}, the sample differs{rest}: {why}",
            file=file,
            sample=entry.key,
            expected=f"sha256 {one['found'][0]}, pixels {one['found'][1]}",
            found=f"sha256 {entry.sha256}, pixels {entry.pixels}",
            explanation=byte_differences.explain(case, task.ref, file, entry.key),
        )


def _verdict(case: Case, task: Task, entry: Entry, made: list[str]) -> tuple[Verdict, str]:
    """Verdict on other bytes: bytes of another encoder with the same values are no other data."""
    if made[1] != entry.pixels:
        return "failed", "its values are not those that the recipe gives"
    run = case.run_file(task.ref) or {}
    reasons = environments.reasons(run.get("environment"), task.environment)
    if not reasons:
        return "failed", "its bytes differ in the environment of the run"
    return "statistical", f"equal values in other bytes; what differs: {'; '.join(reasons)}"


def _preview(case: Case, task: Task, what: str) -> Iterator[Finding]:
    """Compare the rows of a preview."""
    made = task.answer["shown"]
    try:
        rows = json.loads((case.root / task.ref.path).read_bytes())["samples"]
        stated = {row["key"]: row for row in rows}
    except (ValueError, KeyError, TypeError, OSError) as error:
        yield case.failed(task.ref, f"the preview cannot be read: {error!r}")
        return
    keys = task.expected or made.keys() | stated.keys()
    differing = [key for key in sorted(keys) if made.get(key) != stated.get(key)]
    if differing:
        case.mismatches.append((task.ref, task.ref.path, None))
    for key in differing[:SHOWN]:
        yield case.failed(
            task.ref,
            f"{what}, the golden sample differs",
            sample=key,
            expected=f"pixels {(made.get(key) or {}).get('pixels', 'none')}",
            found=f"pixels {(stated.get(key) or {}).get('pixels', 'none')}",
        )
