"""Small campaigns whose outputs stand in any way, in memory, and a model of how Snakemake finds what to run."""

from __future__ import annotations

import functools
import itertools
import random  # noqa: TID251 - of lists, and seeded
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.plan import out_of_date
from shiftbench.plan.plan import VERBS
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.refs import Ref

KINDS = {
    "fetch": ["sources"],
    "shift": ["shards", "previews"],
    "train": ["weights"],
    "evaluate": ["records", "features"],
    "score": ["scores", "searches", "overlaps", "analyses"],
    "aggregate": ["tables", "claims"],
    "report": ["report"],
}


def campaign(draw: random.Random) -> list[Job]:
    """Draw jobs in the order of the data: each makes up to three outputs, of what others and itself made before."""
    jobs: list[Job] = []
    before: list[Artifact] = []
    verbs = sorted(draw.choices(VERBS[:-1], k=draw.randint(3, 8)), key=VERBS.index)
    if draw.random() < 0.3:  # shards that were shifted by a net, of which others learn
        verbs += ["shift", *draw.choices(["train", "evaluate"], k=2), "aggregate"]
    for number, verb in enumerate([*verbs, "report"]):
        own: list[Artifact] = []
        for one in range(draw.choice([1, 1, 2, 3]) if verb != "report" else 1):
            ref = Ref(draw.choice(KINDS[verb]), f"d/s/{number}/{one}")
            made = [artifact.ref for artifact in before]
            some = draw.sample(made, min(len(made), draw.choice([1, 1, 2, 3])))
            inputs = tuple(some if verb != "fetch" else ())
            own.append(Artifact.of(ref, {"version": 0, "ref": ref.path}, inputs))
            if draw.random() < 0.2:
                before.append(own[-1])  # what is beside it may be made from it
        before += [artifact for artifact in own if artifact not in before]
        jobs.append(Job(verb, str(number), tuple(own)))
    return jobs


@dataclass
class World:
    """A campaign's outputs in memory, with receipts as `recipe` reads them.

    Attributes:
        jobs: the campaign, edited by `edit`.
        receipts: of each output that is here; None where it has none.
        damaged: outputs whose bytes are not those of their receipts.
    """

    draw: random.Random
    jobs: list[Job]
    receipts: dict[Ref, dict[str, Any] | None] = field(default_factory=dict)
    damaged: set[Ref] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @functools.cached_property
    def constructed(self) -> set[Ref]:
        """What comes back with the same bytes."""
        return out_of_date._constructed(self.artifacts.values())

    @property
    def artifacts(self) -> dict[Ref, Artifact]:
        """All artifacts, inputs first."""
        return {one.ref: one for job in self.jobs for one in job.artifacts}

    def receipt(self, ref: Ref) -> dict[str, Any] | None:
        """Return the receipt of an output that is here."""
        return self.receipts.get(ref)

    def flaw(self, ref: Ref) -> str | None:
        """Return what is wrong with an output that has a receipt."""
        return "bytes changed: it" if ref in self.damaged and self.receipts.get(ref) else None

    def damage(self, ref: Ref) -> None:
        """Change the bytes of an output that is here."""
        self.damaged |= {ref} & self.receipts.keys()

    def states(self) -> dict[Ref, str]:
        """Return how all stand."""
        return {ref: self.status(one) for ref, one in self.artifacts.items()}

    def status(self, one: Artifact) -> str:
        """Return how one stands."""
        return recipe.status(self, one)  # type: ignore[arg-type]

    def edit(self, ref: Ref) -> None:
        """Change a recipe, and with it those of all that is made from it."""
        moved = {ref}
        for number, job in enumerate(self.jobs):
            own = []
            for one in job.artifacts:
                if one.ref == ref or not moved.isdisjoint(one.inputs):
                    moved.add(one.ref)
                    version = {**one.recipe, "version": next(self._numbers)}
                    own.append(Artifact.of(one.ref, version, one.inputs))
                else:
                    own.append(one)
            self.jobs[number] = Job(job.verb, job.name, tuple(own))

    def lose(self, refs: list[Ref]) -> None:
        """Remove outputs."""
        for ref in refs:
            self.receipts.pop(ref, None)
            self.damaged.discard(ref)

    def receive(self, ref: Ref, other: dict[str, Any] | None) -> None:
        """Change the receipt of an output that has one, or remove it."""
        if content := self.receipts.get(ref):
            self.receipts[ref] = other if other is None else {**content, **other}

    def make(self, one: Artifact) -> None:
        """Make an output from what is here; bytes that do not follow from recipe and inputs may be others each time."""
        consumed = {ref.path: recipe.made(self, ref) for ref in one.inputs}  # type: ignore[arg-type]
        assert None not in consumed.values(), f"{one.ref} is made without {consumed}"
        assert self.damaged.isdisjoint(one.inputs), f"{one.ref} is made from damaged bytes"
        self.damaged.discard(one.ref)
        same = one.ref in self.constructed or self.draw.random() < 0.5
        content = one.fingerprint, tuple(consumed.items()), 0 if same else next(self._numbers)
        self.receipts[one.ref] = {
            "fingerprint": one.fingerprint,
            "recipe": one.recipe,
            "made": {Path(one.ref.path).name: str(hash(content))},
            "consumed": consumed,
        }

    def run_job(self, job: Job, until: int | None = None) -> set[Ref]:
        """Be a verb: make what does not hold when its turn comes; a kill leaves the last one without its receipt."""
        made: set[Ref] = set()
        for one in job.artifacts:
            if self.status(one) == "fresh":
                continue
            if len(made) == until:
                self.receipts[one.ref] = None
                break
            self.make(one)
            made.add(one.ref)
        return made

    def plan(self, asked: Collection[Ref]) -> tuple[list[Job], frozenset[Ref]]:
        """Return the jobs that Snakemake starts, in an order that it may take, and what the plan said is made."""
        states = self.states()
        made = out_of_date.find(self.artifacts, self.jobs, states, asked)
        edges = {job.name: out_of_date.told(job, made) for job in self.jobs}
        outputs = {job.name: [one.ref for one in job.artifacts] for job in self.jobs}
        stale = {ref for ref, state in states.items() if state not in ("fresh", "missing")}
        stamped = {name for name, own in outputs.items() if not stale.isdisjoint(own)}
        chosen = needrun(outputs, edges, stamped, self.receipts, asked)
        return list(self._ordered(chosen, edges)), made

    def _ordered(self, names: set[str], edges: Mapping[str, list[Ref]]) -> Iterator[Job]:
        left = [job for job in self.jobs if job.name in names]
        while left:
            waiting = {one.ref for job in left for one in job.artifacts}
            job = self.draw.choice([job for job in left if waiting.isdisjoint(edges[job.name])])
            left.remove(job)
            yield job


def needrun(
    outputs: Mapping[str, Collection[Ref]],
    edges: Mapping[str, Collection[Ref]],
    stamped: Collection[str],
    here: Collection[Ref],
    asked: Collection[Ref],
) -> set[str]:
    """Be `DAG.update_needrun` of Snakemake 9 with `rerun-triggers: mtime`: return the jobs that it starts.

    Args:
        outputs: of each job; jobs stand in an order that their inputs allow.
        edges: the inputs that each job is told of; none is `ancient()`.
        stamped: jobs whose recipe file is newer than their outputs.
        here: what exists.
        asked: the targets, inputs of a rule that makes nothing.
    """
    maker = {ref: name for name, refs in outputs.items() for ref in refs}
    above = {name: {maker[ref] for ref in refs} for name, refs in edges.items()}
    dag = _reached({maker[ref] for ref in asked}, above)
    below = {name: {other for other in dag if name in above[other]} for name in dag}
    masked: set[str] = set()
    queue = []
    for name in outputs:
        if name in dag and name in stamped and name not in masked:
            queue.append(name)
            masked |= _reached(below[name], below)
    queue += {maker[ref] for ref in asked if ref not in here}
    for name in queue:  # it grows
        required = {maker[ref] for ref in edges[name] if ref not in here}
        queue += (required | below[name]).difference(queue)
    return set(queue)


def _reached(names: set[str], along: Mapping[str, set[str]]) -> set[str]:
    found, open_ = set(names), list(names)
    while open_:
        new = along[open_.pop()] - found
        found |= new
        open_ += new
    return found
