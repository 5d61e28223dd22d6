"""Small benchmarks whose outputs stand in any way, in memory, and runs that do what the plan says."""

import functools
import itertools
import random  # noqa: TID251 - of lists, and seeded
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftbench.base.refs import Ref
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.workflow.plan import out_of_date
from shiftbench.workflow.plan.plan import VERBS

KINDS = {
    "fetch": ["sources"],
    "shift": ["shards", "previews"],
    "train": ["checkpoints"],
    "evaluate": ["records", "features"],
    "score": ["scores", "searches", "overlaps", "analyses"],
    "aggregate": ["tables", "claims"],
    "report": ["report"],
}


def benchmark(draw: random.Random) -> list[Job]:
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
    """A benchmark's outputs in memory, with receipts as `recipe` reads them.

    Attributes:
        jobs: the benchmark, edited by `edit`.
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

    def plan(self, targets: Collection[Ref]) -> tuple[list[Job], frozenset[Ref]]:
        """Return the jobs that a run starts, in an order that it may take, and what the plan said is made."""
        made = out_of_date.find(self.artifacts, self.jobs, self.states(), targets)
        chosen = [job for job in self.jobs if not made.isdisjoint(one.ref for one in job.artifacts)]
        return list(self._ordered(chosen)), made

    def _ordered(self, left: list[Job]) -> Iterator[Job]:
        while left:
            waiting = {one.ref for job in left for one in job.artifacts}
            job = self.draw.choice([job for job in left if waiting.isdisjoint(job.inputs)])
            left.remove(job)
            yield job
