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
    same_job = {artifact.ref: job.artifacts for job in jobs for artifact in job.artifacts}
    returning = {ref for ref in _constructed(artifacts.values()) if states[ref] == "missing"}
    # with the other outputs of their jobs: a stale one would give a second run something to do
    examined = {sibling.ref for ref in goals for sibling in same_job[ref] if states[sibling.ref] != "missing"}
    made: set[Ref] = set()
    while True:
        siblings = {sibling.ref for ref in made for sibling in same_job[ref]}
        examined_now = _examined(artifacts, states, examined.union(goals, siblings), made)
        outputs = made | {ref for ref in examined_now if states[ref] != "fresh"}
        outputs |= _below(artifacts, examined_now, outputs - returning)
        if outputs == made:
            return frozenset(made)
        made = outputs


def causes(artifacts: Mapping[Ref, Artifact], states: Mapping[Ref, str], ref: Ref) -> list[Ref]:
    """The outputs furthest upstream for which an output is not up to date; empty if it and its inputs are fresh.

    Args:
        artifacts: all artifacts of a plan, inputs first.
        states: `fresh`, `missing`, or the reason why an artifact is stale.
        ref: the output.

    Returns:
        Outputs that are not fresh although all of their inputs are, inputs first.
    """
    above = {ref}
    for artifact in reversed(list(artifacts.values())):
        if artifact.ref in above:
            above.update(artifact.inputs)
    blocked: set[Ref] = set()
    found = []
    for artifact in artifacts.values():
        if artifact.ref not in above:
            continue
        behind = not blocked.isdisjoint(artifact.inputs)
        if behind or states[artifact.ref] != "fresh":
            blocked.add(artifact.ref)
        if states[artifact.ref] != "fresh" and not behind:
            found.append(artifact.ref)
    return found


def _examined(
    artifacts: Mapping[Ref, Artifact], states: Mapping[Ref, str], first: set[Ref], made: set[Ref]
) -> set[Ref]:
    """The outputs that a run examines: with their existing inputs, and all inputs of those that it makes."""
    examined = set(first)
    for artifact in reversed(list(artifacts.values())):
        if artifact.ref in examined:
            is_made = artifact.ref in made or states[artifact.ref] != "fresh"
            examined.update(need for need in artifact.inputs if is_made or states[need] != "missing")
    return examined


def _below(artifacts: Mapping[Ref, Artifact], examined: set[Ref], changed: set[Ref]) -> set[Ref]:
    """The examined outputs whose bytes may change because an input may change."""
    changing: set[Ref] = set()
    for ref, artifact in artifacts.items():
        if ref in examined and not changed.isdisjoint(artifact.inputs):
            changing.add(ref)
            changed.add(ref)
    return changing


def _constructed(artifacts: Iterable[Artifact]) -> set[Ref]:
    """The outputs whose bytes follow from their recipe on every machine."""
    constructed: set[Ref] = set()
    for artifact in artifacts:
        if artifact.ref.kind in _BY_CONSTRUCTION and constructed.issuperset(artifact.inputs):
            constructed.add(artifact.ref)
    return constructed
