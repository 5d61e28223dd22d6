"""Conditions: the data sets, splits, shifts and severities of a benchmark, their order, and their clean partners."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import RecordsName, Ref, ShardsName
from shiftbench.plugins.streams._steps import Step, Support, check
from shiftbench.workflow.plan.params import Benchmark, Params

P = ParamSpec("P")
R = TypeVar("R")

ANY = "*"
"""The `clean` of a domain shift that is relative to the data set of any benchmark."""


@dataclass(frozen=True, slots=True)
class SupportPart:
    """Support: labelled samples that a method may adapt on, the `part`-th of `of` disjoint parts of shards."""

    data: Ref
    part: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: the evaluated data and its clean partner.

    Attributes:
        stream, step: the stream (`dataset/split/shift` for a plain shift), and the place in it.
        data: the shards that are read. For a domain shift they are those of the other data set, for a shift that is
            applied while reading the clean ones.
        severity: None for a domain shift without levels.
        reference: the clean partner, as dataset/split/shift/severity.
        golden: if the shift is applied while reading, the samples that check it.
        time: its `step` in tables; None outside of streams.
        support: labelled samples that the method gets before the samples of this condition.
        earlier_inputs: the shards that the method read since its last reset; an adapting method depends on them.
        earlier_steps: the steps since the last reset in order, as text.
    """

    stream: str
    step: str
    data: Ref
    dataset: str
    split: str
    shift: str
    severity: float | None
    reference: str | None
    golden: Ref | None = None
    time: int | None = None
    support: tuple[SupportPart, ...] = ()
    earlier_inputs: tuple[Ref, ...] = ()
    earlier_steps: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[Ref, ...]:
        """The inputs of this condition; golden samples represent the shift that made them."""
        return (self.data, self.golden) if self.golden else (self.data,)

    @property
    def preview(self) -> Ref:
        """The first evaluated samples."""
        return self.golden or refs.previews(self.data)


def _cached_method(method: Callable[Concatenate[Conditions, P], R]) -> Callable[Concatenate[Conditions, P], R]:
    """Cache the results of a method by its arguments; 0 and 0.0 are equal."""

    @functools.wraps(method)
    def cached(self: Conditions, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = method.__name__, args, tuple(kwargs.items())
        if key not in self._cache:
            self._cache[key] = method(self, *args, **kwargs)
        value: R = self._cache[key]
        return value

    return cached


@dataclass(frozen=True, slots=True)
class Conditions:
    """All conditions that params name.

    Attributes:
        params: the parameters of the run.
        unbuildable: outputs that cannot be made here.
    """

    params: Params
    unbuildable: frozenset[Ref] = frozenset()
    _cache: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The benchmarks of which some output can be made here."""
        return {
            name: benchmark for name, benchmark in self.params.benchmarks.items() if self._has_rows(name, benchmark)
        }

    def _has_rows(self, name: str, benchmark: Benchmark) -> bool:
        try:
            return any(True for _ in self._rows(benchmark))
        except ParamsError as error:
            raise type(error)(f"benchmarks.{name}: {error}") from error

    def all(self) -> list[Condition]:
        """The conditions of all benchmarks."""
        return [condition for benchmark in self.benchmarks.values() for condition in self.of(benchmark)]

    def can_be_made(self, condition: Condition) -> bool:
        """Whether the inputs of a condition can be made here."""
        return self.unbuildable.isdisjoint(condition.inputs)

    def of(self, benchmark: Benchmark) -> list[Condition]:
        """The conditions of a benchmark: clean, shifted, streams, OOD sets, splits with stored features."""
        clean = self._plain(benchmark.dataset, benchmark.split, "identity", 0, None)
        conditions = [clean]
        for shift in benchmark.shifts:
            for severity in self._severities(shift):
                conditions.append(self._plain(benchmark.dataset, benchmark.split, shift, severity, _reference(clean)))
        conditions += _refuse_equal_rows(
            [step for name in benchmark.streams for step in self.walk(name, _reference(clean))]
        )
        conditions += [self._plain(name, benchmark.split, "identity", 0, None) for name in benchmark.ood_groups]
        other_splits = [split for split in benchmark.features if split != benchmark.split]
        conditions += [self._plain(benchmark.dataset, split, "identity", 0, None) for split in other_splits]
        return conditions

    def of_records(self, ref: Ref) -> Condition:
        """The condition of a Ref of records."""
        parts = RecordsName.of(ref)
        if parts.shards:
            return self._plain(*parts.shards, reference=None)
        return next(condition for condition in self.walk(parts.stream, None) if condition.step == parts.step)

    @_cached_method
    def _plain(self, dataset: str, split: str, shift: str, severity: float, reference: str | None) -> Condition:
        data, golden = self._data(dataset, split, shift, severity)
        domain, levels = self._domain(shift), self._levels(shift)
        if domain:
            if domain["clean"] not in (dataset, ANY):
                raise ParamsError(
                    f"domain shift {shift!r} is relative to {domain['clean']!r}, but the benchmark's dataset is "
                    f"{dataset!r}; move it to a benchmark on {domain['clean']!r}"
                )
            dataset_of_level = levels.get(severity, domain["dataset"])
            data, golden = self._data(dataset_of_level, domain["split"], "identity", 0)
        stream, step = f"{dataset}/{split}/{shift}", refs.number(severity)
        level = None if domain and not levels else severity
        return Condition(stream, step, data, dataset, split, shift, level, reference, golden)

    @_cached_method
    def _domain(self, shift: str) -> dict[str, str] | None:
        """Data set, clean data set and split of a domain shift, from its plugin and options; None for other shifts."""
        module = registry.read("shifts", self.params.use("shifts", shift))
        defaults: dict[str, str] = getattr(module, "DOMAIN", None) or {}
        options = self.params.options("shifts", shift) if defaults else {}
        domain = {key: options.get(key, value) for key, value in defaults.items()}
        has_levels = bool(self._levels(shift))
        missing = [key for key, value in domain.items() if not value and not (has_levels and key == "dataset")]
        if missing:
            raise ParamsError(f"shifts.{shift}.{missing[0]} is missing; name a dataset")
        return domain or None

    @_cached_method
    def _data(self, dataset: str, split: str, shift: str, severity: float) -> tuple[Ref, Ref | None]:
        """The shards to read; if the shift is applied while reading, also its golden samples."""
        shifted = self.resolve(refs.shards(dataset, split, shift, severity))
        if self.params.materialised(shift):
            return shifted, None
        return self.resolve(refs.shards(dataset, split)), refs.previews(shifted)

    @_cached_method
    def _levels(self, shift: str) -> dict[float, str]:
        """The data set of each severity of a domain shift with levels, in rising order; empty for other shifts."""
        if not registry.defines(registry.read("shifts", self.params.use("shifts", shift)), "DOMAIN"):
            return {}
        levels: dict[Any, str] = self.params.options("shifts", shift).get("levels") or {}
        try:
            return dict(sorted((float(level), name) for level, name in levels.items()))
        except ValueError as error:
            raise ParamsError(f"shifts.{shift}.levels: {error}; expected severity: dataset") from None

    def _severities(self, shift: str) -> tuple[float, ...]:
        if self._domain(shift):
            return tuple(self._levels(shift)) or (1.0,)
        return self.params.shift(shift).severities

    @_cached_method
    def walk(self, name: str, reference: str | None = None) -> list[Condition]:
        """The conditions of a stream, in order.

        Raises:
            ParamsError: times fall, a set is tested twice at one time, or support is also tested or not stored.
        """
        module = registry.read("streams", self.params.use("streams", name))
        steps: list[Step] = module.steps(self.params.options("streams", name))
        check(name, steps)
        conditions: list[Condition] = []
        earlier_inputs: tuple[Ref, ...] = ()
        earlier_steps: tuple[str, ...] = ()
        for number, step in enumerate(steps):
            if step.reset:
                earlier_inputs, earlier_steps = (), ()
            data, golden = self._data(*step.tested, step.shift, step.severity)
            support = tuple(self._support_part(name, samples) for samples in step.support)
            condition = Condition(
                stream=name, step=f"{number:03d}", data=data, dataset=step.dataset, split=step.split,
                shift=step.shift, severity=step.severity, reference=reference, golden=golden,
                time=number if step.at is None else step.at, support=support,
                earlier_inputs=earlier_inputs, earlier_steps=earlier_steps,
            )  # fmt: skip
            conditions.append(condition)
            earlier_inputs = (*earlier_inputs, *(part.data for part in support), *condition.inputs)
            earlier_steps = (*earlier_steps, *map(str, step.support), str(step))
        return conditions

    def _support_part(self, stream: str, support: Support) -> SupportPart:
        data, golden = self._data(support.dataset, support.split, support.shift, support.severity)
        if golden:
            raise ParamsError(
                f"streams.{stream}: support is read from stored shards, and those of {support.shift!r} are applied "
                f"while reading; set shifts.{support.shift}.materialise: true"
            )
        return SupportPart(data, support.part, support.of)

    def checkpoints(self, benchmark: Benchmark) -> list[Ref]:
        """The checkpoints of a benchmark: architectures x trainers x seeds."""
        return list(dict.fromkeys(checkpoint for checkpoint, _ in self.models_with_methods(benchmark)))

    def models_with_methods(self, benchmark: Benchmark) -> list[tuple[Ref, str]]:
        """The checkpoints of a benchmark, each with every method that wraps it."""
        return [
            (refs.checkpoint(spec.dataset or benchmark.dataset, model, trainer, seed), method)
            for spec in benchmark.models
            for model in spec.architectures
            for trainer in spec.trainers
            for seed in spec.seeds
            for method in (benchmark.methods if spec.methods is None else spec.methods)
        ]

    def evaluates(self, name: str, checkpoint: Ref, method: str) -> bool:
        """Whether a benchmark evaluates a checkpoint with a method."""
        return (checkpoint, method) in self._evaluated(name)

    @_cached_method
    def _evaluated(self, name: str) -> frozenset[tuple[Ref, str]]:
        return frozenset(self.models_with_methods(self.params.benchmarks[name]))

    def rows(self, benchmark: Benchmark) -> list[dict[str, Any]]:
        """One row per evaluation of a benchmark that can be made here, in the form of the recipe of its tables."""
        return list(self._rows(benchmark))

    def _rows(self, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
        conditions = self.of(benchmark)
        rows = (
            _row(benchmark, checkpoint, method, detector, condition)
            for checkpoint, method in self.models_with_methods(benchmark)
            for condition in conditions
            for detector in (None, *_detectors(benchmark, condition))
        )
        return (row for row in rows if Ref("records", row["records"]) not in self.unbuildable)

    def records_with_features(self, benchmark: Benchmark) -> list[Ref]:
        """The records whose features a benchmark stores, as far as they can be made here."""
        records = (
            refs.records(checkpoint, method, f"{benchmark.dataset}/{split}/identity", "0")
            for checkpoint, method in self.models_with_methods(benchmark)
            for split in benchmark.features
        )
        return [record for record in records if record not in self.unbuildable]

    @_cached_method
    def resolve(self, ref: Ref) -> Ref:
        """The Ref with its place: data/local for shards and previews that may not be redistributed."""
        if ref.kind not in ("shards", "previews"):
            return ref
        dataset = ShardsName.of(ref).dataset
        module = registry.read("datasets", self.params.use("datasets", dataset))
        override = self.params.dataset(dataset).redistribute
        return Ref(ref.kind, ref.name, local=not (module.REDISTRIBUTE if override is None else override))


def _reference(condition: Condition) -> str:
    """The name of a clean condition, as `Condition.reference`."""
    return f"{condition.stream}/{condition.step}"


def _refuse_equal_rows(conditions: list[Condition]) -> list[Condition]:
    """Refuse streams of one benchmark with equal rows: a row names the time, but not the stream."""
    streams: dict[tuple[Any, ...], str] = {}
    for condition in conditions:
        row = (condition.time, condition.dataset, condition.split, condition.shift, condition.severity)
        stream = streams.setdefault(row, condition.stream)
        if stream != condition.stream:
            raise ParamsError(
                f"streams {stream!r} and {condition.stream!r} test {'/'.join(map(str, row[1:]))} at the same time "
                f"{row[0]}; put them into separate benchmarks, or give them other times (`at`)"
            )
    return conditions


def _detectors(benchmark: Benchmark, condition: Condition) -> tuple[str, ...]:
    """The detectors that score a condition: on the clean set and OOD sets, with `full_spectrum` also on shifted sets.

    In a stream they score the ID set and the OOD sets, shifted or not.
    """
    if condition.split != benchmark.split:
        return ()
    if condition.time is not None:
        is_scored = condition.dataset in (benchmark.dataset, *benchmark.ood_groups)
    else:
        is_scored = condition.shift == "identity" or benchmark.full_spectrum
    return benchmark.detectors if is_scored else ()


def _row(
    benchmark: Benchmark, checkpoint: Ref, method: str, detector: str | None, condition: Condition
) -> dict[str, Any]:
    record = refs.records(checkpoint, method, condition.stream, condition.step)
    return {
        "model": checkpoint.name,
        "method": method,
        "detector": detector,
        "dataset": condition.dataset,
        "split": condition.split,
        "shift": condition.shift,
        "severity": condition.severity,
        "step": condition.time,
        "reference": condition.reference,
        "ood": condition.dataset in benchmark.ood_groups and condition.dataset != benchmark.dataset,
        "ood_group": benchmark.ood_groups.get(condition.dataset),
        "records": record.name,
        "scores": refs.scores(record, detector).name if detector else None,
    }
