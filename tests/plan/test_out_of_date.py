"""A run that says it is done is done: drawn benchmarks in drawn states, planned as ever, run in an allowed order.

tests/workflow/test_what_runs.py compares these runs with those of Snakemake.
"""

import random  # noqa: TID251 - of lists, and seeded
from collections.abc import Callable
from pathlib import Path

import pytest

from makers.drawn_states import World, benchmark
from shiftbench.base.refs import Ref
from shiftbench.provenance import receipts, recipe
from shiftbench.provenance.recipe import Job
from shiftbench.workflow.plan.plan import is_target


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at worlds instead of folders."""
    for module in (receipts, recipe):
        monkeypatch.setattr(module, "receipt", lambda root, ref: root.receipt(ref))
    monkeypatch.setattr(recipe, "is_here", lambda root, ref: ref in root.receipts)
    monkeypatch.setattr(recipe, "flaw", lambda root, ref: root.flaw(ref))


def targets(world: World) -> list[Ref]:
    """Draw what a run is asked for: the report, all that some stages make, or single outputs."""
    refs = [ref for ref in world.artifacts if is_target(ref)]
    verbs = {job.verb for job in world.jobs}
    how = world.draw.random()
    if how < 0.4:
        return [ref for ref in refs if ref.kind == "report"]
    if how < 0.8:
        some = world.draw.sample(sorted(verbs), world.draw.choice([1, 1, 2]) if len(verbs) > 1 else 1)
        own = [one.ref for job in world.jobs if job.verb in some for one in job.artifacts]
        return [ref for ref in own if is_target(ref)]
    return world.draw.sample(refs, min(len(refs), 2))


def run_some(world: World, _: Ref) -> None:
    """Run, to the end or until a kill."""
    jobs, _made = world.plan(targets(world))
    cut = world.draw.choice([len(jobs), world.draw.randint(0, len(jobs))])
    for job in jobs[:cut]:
        world.run_job(job)
    if cut < len(jobs):
        world.run_job(jobs[cut], until=world.draw.randint(0, 1))


EVENTS: dict[str, Callable[[World, Ref], object]] = {
    "a recipe changes": World.edit,
    "outputs are lost": lambda world, _: world.lose(
        world.draw.sample(list(world.artifacts), world.draw.randint(1, len(world.artifacts)))
    ),
    "an output and all after it are lost": lambda world, ref: world.lose(
        list(world.artifacts)[list(world.artifacts).index(ref) :]
    ),
    "bytes are damaged": World.damage,
    "a receipt is lost": lambda world, ref: world.receive(ref, None),
    "made elsewhere": lambda world, ref: world.receive(
        ref, {} if ref in world.constructed else {"made": {Path(ref.path).name: "elsewhere"}}
    ),
    "made by another recipe": lambda world, ref: world.receive(ref, {"fingerprint": "another"}),
    "a run": run_some,
}
"""What users and machines do."""


def disturb(world: World) -> None:
    """Let some things happen."""
    for _ in range(world.draw.randint(0, 6)):
        event = world.draw.choice(list(EVENTS))
        EVENTS[event](world, world.draw.choice(list(world.artifacts)))


def above(world: World, job: Job) -> set[Ref]:
    """Return all that a job's outputs are made from."""
    found: set[Ref] = {one.ref for one in job.artifacts}
    for one in reversed(world.artifacts.values()):
        if one.ref in found:
            found.update(one.inputs)
    return found - {one.ref for one in job.artifacts}


def here(world: World, asked: list[Ref]) -> set[Ref]:
    """Return what is here of what is asked for, beside it, and of that from which it was made."""
    found = {
        one.ref
        for job in world.jobs
        for one in job.artifacts
        if not set(asked).isdisjoint(a.ref for a in job.artifacts)
    }
    for one in reversed(world.artifacts.values()):
        if one.ref in found and one.ref in world.receipts:
            found.update(one.inputs)
    return found.intersection(world.receipts)


def run(world: World) -> list[str]:
    """Run once; return what was wrong: a target that is not fresh, a job in vain, one that is left for a second run."""
    asked = targets(world)
    before = world.states()
    jobs, made = world.plan(asked)
    wrong, again = [], set[Ref]()
    if jobs and all(before[ref] == "fresh" for ref in {*asked, *here(world, asked)}):
        wrong.append("something ran though all stood")  # what is missing above is missed by nobody
    for job in jobs:
        did = world.run_job(job)
        reasons = {r for r in above(world, job) & again if before[r] != "missing" or r not in world.constructed}
        if not (did or reasons):
            wrong.append(f"{job.verb} {job.name} ran though all held")
        wrong += [f"{ref} was made and not planned" for ref in did - made]
        again |= did
    after = world.states()
    wrong += [f"{ref} is {after[ref]} after the run" for ref in asked if after[ref] != "fresh"]
    return wrong + [f"{job.verb} {job.name} runs again" for job in world.plan(asked)[0]]


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 9_000), marks=pytest.mark.slow)])
def test_one_run_makes_what_it_is_asked_for_and_nothing_in_vain(seeds: range) -> None:
    """Benchmarks after edits, losses, other machines' bytes, runs and kills: three states of each."""
    for seed in seeds:
        draw = random.Random(seed)
        world = World(draw, benchmark(draw))
        if draw.random() < 0.8:
            for one in world.artifacts.values():
                world.make(one)
        for _ in range(3):
            disturb(world)
            assert run(world) == [], f"seed {seed}"
