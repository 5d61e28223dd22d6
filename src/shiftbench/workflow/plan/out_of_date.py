"""What a run has to make, from how outputs stand and what the run is asked for; Snakemake starts these jobs alone."""

from collections.abc import Collection, Iterable, Mapping

from shiftbench.base.refs import Ref
from shiftbench.provenance.recipe import Artifact, Job

_BY_CONSTRUCTION = ("sources", "shards", "previews")
"""Kinds whose bytes follow from their recipe everywhere, where those of their inputs do; weights vary with machines."""


def find(
    artifacts: Mapping[Ref, Artifact], jobs: Iterable[Job], states: Mapping[Ref, str], asked: Collection[Ref]
) -> frozenset[Ref]:
    """Return what a run makes, or makes again where its inputs come out with other bytes.

    A run looks at what it is asked for, at the inputs that are here of what it looks at, and at all that a job at
    work makes: its verb makes whatever of it does not hold. What it looks at and is stale or missing is made, with all
    inputs. What is fresh may have to be made again below what is made; not below originals and shards that come back
    under the recipe that they had, whose bytes are the same.

    Args:
        artifacts: all of a plan, inputs before what is made from them.
        jobs: all of the plan.
        states: `fresh`, `missing`, or why an artifact is stale.
        asked: what the run is for.
    """
    mates = {one.ref: job.artifacts for job in jobs for one in job.artifacts}
    back = {ref for ref in _constructed(artifacts.values()) if states[ref] == "missing"}
    # with what else their jobs have made: were it stale, a second run would find something to do
    wanted = {mate.ref for ref in asked for mate in mates[ref] if states[mate.ref] != "missing"}
    made: set[Ref] = set()
    while True:
        beside = {mate.ref for ref in made for mate in mates[ref]}
        seen = _seen(artifacts, states, wanted.union(asked, beside), made)
        more = made | {ref for ref in seen if states[ref] != "fresh"}
        more |= _below(artifacts, seen, more - back)
        if more == made:
            return frozenset(made)
        made = more


def _seen(artifacts: Mapping[Ref, Artifact], states: Mapping[Ref, str], first: set[Ref], made: set[Ref]) -> set[Ref]:
    """Return what a run looks at, with the inputs that are here; all inputs of what it makes."""
    seen = set(first)
    for artifact in reversed(list(artifacts.values())):
        if artifact.ref in seen:
            makes = artifact.ref in made or states[artifact.ref] != "fresh"
            seen.update(need for need in artifact.inputs if makes or states[need] != "missing")
    return seen


def _below(artifacts: Mapping[Ref, Artifact], seen: set[Ref], moved: set[Ref]) -> set[Ref]:
    """Return what of the seen may come out with other bytes, since something that it is made from may."""
    below: set[Ref] = set()
    for ref, artifact in artifacts.items():
        if ref in seen and not moved.isdisjoint(artifact.inputs):
            below.add(ref)
            moved.add(ref)
    return below


def _constructed(artifacts: Iterable[Artifact]) -> set[Ref]:
    """Return what comes back with the same bytes wherever it is made by the same recipe."""
    found: set[Ref] = set()
    for artifact in artifacts:
        if artifact.ref.kind in _BY_CONSTRUCTION and found.issuperset(artifact.inputs):
            found.add(artifact.ref)
    return found
