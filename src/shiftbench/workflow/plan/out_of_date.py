"""The outputs that a run makes, from the states of all outputs and the goals of the run."""

from collections.abc import Collection, Iterable, Mapping

from shiftbench.base.refs import Ref
from shiftbench.provenance.recipe import Artifact, Job

_BY_CONSTRUCTION = ("sources", "shards", "previews")
"""Kinds whose bytes follow from recipe and inputs on every machine; checkpoints depend on the machine."""


def find(
    artifacts: Mapping[Ref, Artifact], jobs: Iterable[Job], states: Mapping[Ref, str], goals: Collection[Ref]
) -> frozenset[Ref]:
    """The outputs that a run makes, and those that it may make again because their inputs change.

    A run examines its goals, the existing inputs of each examined output, and all outputs of the jobs that it starts.
    It makes each examined output that is stale or missing, with all of its inputs. A fresh output may have to be made
    again if one of its inputs is made, except if this input is a source or shards that return under the same recipe and
    so with the same bytes.

    Args:
        artifacts: all artifacts of a plan, inputs first.
        jobs: all jobs of the plan.
        states: `fresh`, `missing`, or the reason why an artifact is stale.
        goals: the requested outputs.
    """
    mates = {one.ref: job.artifacts for job in jobs for one in job.artifacts}
    returning = {ref for ref in _constructed(artifacts.values()) if states[ref] == "missing"}
    # with the other outputs of their jobs: a stale one would give a second run something to do
    examined = {mate.ref for ref in goals for mate in mates[ref] if states[mate.ref] != "missing"}
    made: set[Ref] = set()
    while True:
        siblings = {mate.ref for ref in made for mate in mates[ref]}
        seen = _examined(artifacts, states, examined.union(goals, siblings), made)
        more = made | {ref for ref in seen if states[ref] != "fresh"}
        more |= _below(artifacts, seen, more - returning)
        if more == made:
            return frozenset(made)
        made = more


def _examined(
    artifacts: Mapping[Ref, Artifact], states: Mapping[Ref, str], first: set[Ref], made: set[Ref]
) -> set[Ref]:
    """The outputs that a run examines: with their existing inputs, and all inputs of those that it makes."""
    seen = set(first)
    for artifact in reversed(list(artifacts.values())):
        if artifact.ref in seen:
            makes = artifact.ref in made or states[artifact.ref] != "fresh"
            seen.update(need for need in artifact.inputs if makes or states[need] != "missing")
    return seen


def _below(artifacts: Mapping[Ref, Artifact], seen: set[Ref], moved: set[Ref]) -> set[Ref]:
    """The examined outputs whose bytes may change because an input may change."""
    below: set[Ref] = set()
    for ref, artifact in artifacts.items():
        if ref in seen and not moved.isdisjoint(artifact.inputs):
            below.add(ref)
            moved.add(ref)
    return below


def _constructed(artifacts: Iterable[Artifact]) -> set[Ref]:
    """The outputs whose bytes follow from their recipe on every machine."""
    constructed: set[Ref] = set()
    for artifact in artifacts:
        if artifact.ref.kind in _BY_CONSTRUCTION and constructed.issuperset(artifact.inputs):
            constructed.add(artifact.ref)
    return constructed
