"""Which planned sets may share no sample, and what weights learnt from."""

import itertools
from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import detector_plan
from shiftbench.workflow.plan.params import Benchmark

Pair = tuple[Ref, Ref, str]
"""Two sets, and the parts that they play."""


def must_be_disjoint(case: Case) -> list[Pair]:
    """Return the sets that may share no sample: those that detection compares, and tested ones and learnt ones."""
    parts: dict[tuple[Ref, Ref], str] = {}
    for name, benchmark in case.plan.benchmarks.items():
        if benchmark.ood_groups or benchmark.val_sets:
            for pair, roles in _compared(case, benchmark):
                parts.setdefault(pair, f"{roles} of benchmark {name}")
        for stream in benchmark.streams:
            for pair in _shown(case, stream):
                parts.setdefault(pair, f"support and tested of stream {stream}")
        for place in _tested(case, name):
            for source in learnt(case, name):
                parts.setdefault((source, place), f"learnt and tested of benchmark {name}")
    return [(*pair, why) for pair, why in parts.items()]


def _compared(case: Case, benchmark: Benchmark) -> Iterator[tuple[tuple[Ref, Ref], str]]:
    """Yield the sets that detection compares and their roles."""
    sets = detector_plan.sets(benchmark, case.plan.params)
    for (role, *one), (other, *two) in itertools.combinations(sets, 2):
        if role != other and {"id", "val_ood", "support"} & {role, other}:
            yield (clean_set(case, *one), clean_set(case, *two)), f"{role} and {other}"


def _shown(case: Case, stream: str) -> Iterator[tuple[Ref, Ref]]:
    """Yield each set that a stream shows to methods, beside each that it tests."""
    walked = case.plan._conditions.walk(stream)
    shown = {one.data.parts[:2] for place in walked for one in place.support}
    tested = {place.data.parts[:2] for place in walked}
    for one, other in itertools.product(sorted(shown), sorted(tested)):
        yield clean_set(case, *one), clean_set(case, *other)


def clean_set(case: Case, dataset: str, split: str) -> Ref:
    """Return the planned clean shards of a split."""
    return case.plan._conditions.resolve(refs.shards(dataset, split))


def _tested(case: Case, benchmark: str) -> set[Ref]:
    """Return the clean set and the domain shifts that a benchmark tests; a shift keeps the keys of its clean set."""
    asked = case.plan.benchmarks[benchmark]
    places = {
        position.data
        for position in case.plan.conditions(asked)
        if position.split == asked.split and "/" in position.stream and position.dataset == asked.dataset
    }
    return {place for place in places if place.parts[2] == "identity"}


def learnt(case: Case, benchmark: str) -> set[Ref]:
    """Return the shards that weights of a benchmark learnt from, but for weights that hold what is tested."""
    return {
        need
        for ref in weights_of(case, benchmark)
        if not holds_tested(case, ref)
        for need in case.plan.artifacts[ref].inputs
        if need.kind == "shards"
    }


def weights_of(case: Case, benchmark: str) -> set[Ref]:
    """Return the weights that a benchmark evaluates."""
    rows = case.plan.rows(case.plan.benchmarks[benchmark])
    return {Ref("checkpoints", row["model"]) for row in rows}


def holds_tested(case: Case, weights: Ref) -> str:
    """Return why weights hold what is tested, as their trainer's file says; empty where it says nothing."""
    trainer = registry.find("trainers", case.plan.artifacts[weights].recipe["trainer"]["use"])
    return str(getattr(trainer, "HOLDS_TESTED", ""))
