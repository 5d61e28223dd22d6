"""Planned sets that may share no sample, and the training data of models."""

import itertools
from collections.abc import Iterator

from shiftbench.audit.case import Case
from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.workflow.plan import detector_plan
from shiftbench.workflow.plan.params import Benchmark

Pair = tuple[Ref, Ref, str]
"""Two sets, and their roles."""


def must_be_disjoint(case: Case) -> list[Pair]:
    """Sets that may share no sample: those that detection compares, and training and tested sets."""
    parts: dict[tuple[Ref, Ref], str] = {}
    for name, benchmark in case.plan.benchmarks.items():
        if benchmark.ood_groups or benchmark.val_sets:
            for pair, roles in _detection_pairs(case, benchmark):
                parts.setdefault(pair, f"{roles} of benchmark {name}")
        for stream in benchmark.streams:
            for pair in _stream_pairs(case, stream):
                parts.setdefault(pair, f"support and tested of stream {stream}")
        for place in _tested(case, name):
            for source in training_shards(case, name):
                parts.setdefault((source, place), f"training and tested sets of benchmark {name}")
    return [(*pair, why) for pair, why in parts.items()]


def _detection_pairs(case: Case, benchmark: Benchmark) -> Iterator[tuple[tuple[Ref, Ref], str]]:
    """Yield the sets that detection compares and their roles."""
    sets = detector_plan.sets(benchmark, case.plan.params)
    for (role, *one), (other, *two) in itertools.combinations(sets, 2):
        if role != other and {"id", "val_ood", "support"} & {role, other}:
            yield (clean_set(case, *one), clean_set(case, *two)), f"{role} and {other}"


def _stream_pairs(case: Case, stream: str) -> Iterator[tuple[Ref, Ref]]:
    """Yield each set that a stream shows to methods, with each set that it tests."""
    walked = case.plan._conditions.walk(stream)
    shown = {one.data.parts[:2] for place in walked for one in place.support}
    tested = {place.data.parts[:2] for place in walked}
    for one, other in itertools.product(sorted(shown), sorted(tested)):
        yield clean_set(case, *one), clean_set(case, *other)


def clean_set(case: Case, dataset: str, split: str) -> Ref:
    """Planned clean shards of a split."""
    return case.plan._conditions.resolve(refs.shards(dataset, split))


def _tested(case: Case, benchmark: str) -> set[Ref]:
    """Clean set and domain shifts that a benchmark tests; other shifts keep the keys of their clean set."""
    requested = case.plan.benchmarks[benchmark]
    places = {
        condition.data
        for condition in case.plan.conditions(requested)
        if condition.split == requested.split and "/" in condition.stream and condition.dataset == requested.dataset
    }
    return {place for place in places if place.parts[2] == "identity"}


def training_shards(case: Case, benchmark: str) -> set[Ref]:
    """Shards that a benchmark's models were trained on, without models that contain tested data."""
    return {
        need
        for ref in checkpoints_of(case, benchmark)
        if not holds_tested(case, ref)
        for need in case.plan.artifacts[ref].inputs
        if need.kind == "shards"
    }


def checkpoints_of(case: Case, benchmark: str) -> set[Ref]:
    """Checkpoints that a benchmark evaluates."""
    rows = case.plan.rows(case.plan.benchmarks[benchmark])
    return {Ref("checkpoints", row["model"]) for row in rows}


def holds_tested(case: Case, checkpoint: Ref) -> str:
    """Why a model contains tested data, by its trainer's file; empty if the file does not say so."""
    trainer = registry.find("trainers", case.plan.artifacts[checkpoint].recipe["trainer"]["use"])
    return str(getattr(trainer, "HOLDS_TESTED", ""))
