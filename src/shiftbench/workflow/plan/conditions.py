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
class Shown:
    """Support: labelled samples that a method may adapt on, the `part`-th of `of` disjoint parts of shards."""

    data: Ref
    part: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: the evaluated data and its clean partner.

    Attributes:
        stream, step: the stream (`dataset/split/shift` for a plain shift), and the place in it.
        data: the shards that are read: of a domain shift those of the other data set, of a shift that is applied
            while reading the clean ones.
        severity: None for a domain shift without levels.
        reference: the clean partner, as dataset/split/shift/severity.
        golden: if the shift is applied while reading, the samples that check it.
        time: its `step` in tables; None outside of streams.
        support: labelled samples that the method gets before the samples of this condition.
        sees: the shards that the method read since its last reset; they decide what an adapting method does here.
        before: the steps since the last reset in order, as text.
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
    support: tuple[Shown, ...] = ()
    sees: tuple[Ref, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[Ref, ...]:
        """The inputs of this condition; golden samples represent the shift that made them."""
        return (self.data, self.golden) if self.golden else (self.data,)

    @property
    def preview(self) -> Ref:
        """The first evaluated samples."""
        return self.golden or refs.previews(self.data)


def _once(method: Callable[Concatenate[Conditions, P], R]) -> Callable[Concatenate[Conditions, P], R]:
    """Cache the results of a method by its arguments; 0 and 0.0 are equal."""

    @functools.wraps(method)
    def cached(self: Conditions, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = method.__name__, args, tuple(kwargs.items())
        if key not in self._kept:
            self._kept[key] = method(self, *args, **kwargs)
        value: R = self._kept[key]
        return value

    return cached


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions that params name.

    Attributes:
        params: the parameters of the run.
        unbuildable: outputs that cannot be made here.
    """

    params: Params
    unbuildable: frozenset[Ref] = frozenset()
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The benchmarks of which some output can be made here."""
        return {name: c for name, c in self.params.benchmarks.items() if self._any_row(name, c)}

    def _any_row(self, name: str, benchmark: Benchmark) -> bool:
        try:
            return any(True for _ in self._rows(benchmark))
        except ParamsError as error:
            raise type(error)(f"benchmarks.{name}: {error}") from error

    def all(self) -> list[Condition]:
        """The conditions of all benchmarks."""
        return [condition for benchmark in self.benchmarks.values() for condition in self.of(benchmark)]

    def here(self, condition: Condition) -> bool:
        """Whether the inputs of a condition can be made here."""
        return self.unbuildable.isdisjoint(condition.reads)

    def of(self, benchmark: Benchmark) -> list[Condition]:
        """The conditions of a benchmark: clean, shifted, streams, OOD sets, splits with stored features."""
        clean = self._plain(benchmark.dataset, benchmark.split, "identity", 0, None)
        listed = [clean]
        for shift in benchmark.shifts:
            for severity in self._severities(shift):
                listed.append(self._plain(benchmark.dataset, benchmark.split, shift, severity, _at(clean)))
        listed += _distinct([step for name in benchmark.streams for step in self.walk(name, _at(clean))])
        listed += [self._plain(name, benchmark.split, "identity", 0, None) for name in benchmark.ood_groups]
        others = [split for split in benchmark.features if split != benchmark.split]
        listed += [self._plain(benchmark.dataset, split, "identity", 0, None) for split in others]
        return listed

    def named(self, ref: Ref) -> Condition:
        """The condition of a Ref of records."""
        name = RecordsName.of(ref)
        if name.shards:
            return self._plain(*name.shards, reference=None)
        return next(p for p in self.walk(name.stream, None) if p.step == name.step)

    @_once
    def _plain(self, dataset: str, split: str, shift: str, severity: float, reference: str | None) -> Condition:
        data, golden = self._data(dataset, split, shift, severity)
        domain, levels = self._domain(shift), self._levels(shift)
        if domain:
            if domain["clean"] not in (dataset, ANY):
                raise ParamsError(
                    f"domain shift {shift!r} is relative to {domain['clean']!r}, but the benchmark's dataset is "
                    f"{dataset!r}; move it to a benchmark on {domain['clean']!r}"
                )
            other = levels.get(severity, domain["dataset"])
            data, golden = self._data(other, domain["split"], "identity", 0)
        stream, step = f"{dataset}/{split}/{shift}", refs.number(severity)
        level = None if domain and not levels else severity
        return Condition(stream, step, data, dataset, split, shift, level, reference, golden)

    @_once
    def _domain(self, shift: str) -> dict[str, str] | None:
        """Data set, clean data set and split of a domain shift, from its plugin and options; None for other shifts."""
        module = registry.read("shifts", self.params.use("shifts", shift))
        stated: dict[str, str] = getattr(module, "DOMAIN", None) or {}
        options = self.params.options("shifts", shift) if stated else {}
        domain = {key: options.get(key, value) for key, value in stated.items()}
        graded = bool(self._levels(shift))
        lacking = [key for key, value in domain.items() if not value and not (graded and key == "dataset")]
        if lacking:
            raise ParamsError(f"shifts.{shift}.{lacking[0]} is missing; name a dataset")
        return domain or None

    @_once
    def _data(self, dataset: str, split: str, shift: str, severity: float) -> tuple[Ref, Ref | None]:
        """The shards to read; if the shift is applied while reading, also its golden samples."""
        shifted = self.resolve(refs.shards(dataset, split, shift, severity))
        if self.params.materialised(shift):
            return shifted, None
        return self.resolve(refs.shards(dataset, split)), refs.previews(shifted)

    @_once
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

    @_once
    def walk(self, name: str, reference: str | None = None) -> list[Condition]:
        """The conditions of a stream, in order.

        Raises:
            ParamsError: times fall, a set is tested twice at one time, or support is also tested or not stored.
        """
        module = registry.read("streams", self.params.use("streams", name))
        steps: list[Step] = module.steps(self.params.options("streams", name))
        check(name, steps)
        walked: list[Condition] = []
        sees: tuple[Ref, ...] = ()
        before: tuple[str, ...] = ()
        for number, step in enumerate(steps):
            if step.reset:
                sees, before = (), ()
            data, golden = self._data(*step.tested, step.shift, step.severity)
            support = tuple(self._shown(name, one) for one in step.support)
            condition = Condition(
                stream=name, step=f"{number:03d}", data=data, dataset=step.dataset, split=step.split,
                shift=step.shift, severity=step.severity, reference=reference, golden=golden,
                time=number if step.at is None else step.at, support=support, sees=sees, before=before,
            )  # fmt: skip
            walked.append(condition)
            sees = (*sees, *(shown.data for shown in support), *condition.reads)
            before = (*before, *map(str, step.support), str(step))
        return walked

    def _shown(self, stream: str, one: Support) -> Shown:
        data, golden = self._data(one.dataset, one.split, one.shift, one.severity)
        if golden:
            raise ParamsError(
                f"streams.{stream}: support is read from stored shards, and those of {one.shift!r} are applied while "
                f"reading; set shifts.{one.shift}.materialise: true"
            )
        return Shown(data, one.part, one.of)

    def checkpoints(self, benchmark: Benchmark) -> list[Ref]:
        """The checkpoints of a benchmark: architectures x trainers x seeds."""
        return list(dict.fromkeys(checkpoint for checkpoint, _ in self.wrapped(benchmark)))

    def wrapped(self, benchmark: Benchmark) -> list[tuple[Ref, str]]:
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

    @_once
    def _evaluated(self, name: str) -> frozenset[tuple[Ref, str]]:
        return frozenset(self.wrapped(self.params.benchmarks[name]))

    def rows(self, benchmark: Benchmark) -> list[dict[str, Any]]:
        """One row per evaluation of a benchmark that can be made here, in the form of the recipe of its tables."""
        return list(self._rows(benchmark))

    def _rows(self, benchmark: Benchmark) -> Iterator[dict[str, Any]]:
        conditions = self.of(benchmark)
        rows = (
            _row(benchmark, checkpoint, method, detector, condition)
            for checkpoint, method in self.wrapped(benchmark)
            for condition in conditions
            for detector in (None, *_detectors(benchmark, condition))
        )
        return (row for row in rows if Ref("records", row["records"]) not in self.unbuildable)

    def kept_features(self, benchmark: Benchmark) -> list[Ref]:
        """The records whose features a benchmark stores, as far as they can be made here."""
        kept = (
            refs.records(checkpoint, method, f"{benchmark.dataset}/{split}/identity", "0")
            for checkpoint, method in self.wrapped(benchmark)
            for split in benchmark.features
        )
        return [record for record in kept if record not in self.unbuildable]

    @_once
    def resolve(self, ref: Ref) -> Ref:
        """The Ref with its place: data/local for shards and previews that may not be redistributed."""
        if ref.kind not in ("shards", "previews"):
            return ref
        dataset = ShardsName.of(ref).dataset
        module = registry.read("datasets", self.params.use("datasets", dataset))
        override = self.params.dataset(dataset).redistribute
        return Ref(ref.kind, ref.name, local=not (module.REDISTRIBUTE if override is None else override))


def _at(condition: Condition) -> str:
    return f"{condition.stream}/{condition.step}"


def _distinct(conditions: list[Condition]) -> list[Condition]:
    """Refuse streams of one benchmark with equal rows: a row names the time, but not the stream."""
    streams: dict[tuple[Any, ...], str] = {}
    for condition in conditions:
        row = (condition.time, condition.dataset, condition.split, condition.shift, condition.severity)
        other = streams.setdefault(row, condition.stream)
        if other != condition.stream:
            raise ParamsError(
                f"streams {other!r} and {condition.stream!r} test {'/'.join(map(str, row[1:]))} at the same time "
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
        seen = condition.dataset in (benchmark.dataset, *benchmark.ood_groups)
    else:
        seen = condition.shift == "identity" or benchmark.full_spectrum
    return benchmark.detectors if seen else ()


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
