"""Evaluation points: what a benchmark evaluates, in which order, and what each number is relative to."""

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
"""What a domain shift is relative to, where that is the dataset of any benchmark."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Labelled samples that a method may adapt on: the `part`-th of `of` disjoint parts of shards."""

    data: Ref
    part: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Condition:
    """One evaluation point of a stream: what is evaluated, and what it is relative to.

    Attributes:
        stream, step: name of the stream (`dataset/split/shift` for a plain shift) and where in it.
        data: the shards that are read; a domain shift's are those of the other dataset, and of a shift
            that is applied while reading the clean ones.
        severity: None for a domain shift, which has no levels.
        reference: the clean partner, as dataset/split/shift/severity.
        golden: where the shift is applied while reading, the samples that tell whether it was done right.
        time: its `step` in tables; None: it is of no stream.
        support: what is shown before the samples of this evaluation point, labels included.
        sees: what was read and shown since the method began, which decides what an adapting method does here.
        before: the same in order, as it is told.
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
        """What is read here; golden samples stand for the shift that made them."""
        return (self.data, self.golden) if self.golden else (self.data,)

    @property
    def preview(self) -> Ref:
        """The first samples of what is evaluated."""
        return self.golden or refs.previews(self.data)


def _once(method: Callable[Concatenate[Conditions, P], R]) -> Callable[Concatenate[Conditions, P], R]:
    """Keep what a method returns; of arguments that are equal it returns the same, 0 and 0.0 are."""

    @functools.wraps(method)
    def kept(self: Conditions, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = method.__name__, args, tuple(kwargs.items())
        if key not in self._kept:
            self._kept[key] = method(self, *args, **kwargs)
        found: R = self._kept[key]
        return found

    return kept


@dataclass(frozen=True, slots=True)
class Conditions:
    """The evaluation points that params name.

    Attributes:
        params: what to run.
        unbuildable: what cannot be made here.
    """

    params: Params
    unbuildable: frozenset[Ref] = frozenset()
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The benchmarks of which something can be made here."""
        return {name: c for name, c in self.params.benchmarks.items() if self._any_row(name, c)}

    def _any_row(self, name: str, benchmark: Benchmark) -> bool:
        try:
            return any(True for _ in self._rows(benchmark))
        except ParamsError as error:
            raise type(error)(f"benchmarks.{name}: {error}") from error

    def all(self) -> list[Condition]:
        """Return every evaluation point that any benchmark evaluates."""
        return [condition for benchmark in self.benchmarks.values() for condition in self.of(benchmark)]

    def here(self, condition: Condition) -> bool:
        """Whether what is read at an evaluation point can be made here."""
        return self.unbuildable.isdisjoint(condition.reads)

    def of(self, benchmark: Benchmark) -> list[Condition]:
        """Return every evaluation point that a benchmark evaluates: clean, shifted, streams, OOD, kept features."""
        clean = self._plain(benchmark.dataset, benchmark.split, "identity", 0, None)
        found = [clean]
        for shift in benchmark.shifts:
            for severity in self._severities(shift):
                found.append(self._plain(benchmark.dataset, benchmark.split, shift, severity, _at(clean)))
        conditions = [condition for name in benchmark.streams for condition in self.walk(name, _at(clean))]
        found += _distinct(conditions)
        found += [self._plain(name, benchmark.split, "identity", 0, None) for name in benchmark.ood_groups]
        others = [split for split in benchmark.features if split != benchmark.split]
        found += [self._plain(benchmark.dataset, split, "identity", 0, None) for split in others]
        return found

    def named(self, ref: Ref) -> Condition:
        """Return the evaluation point that a records Ref names."""
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
        """Return dataset, clean and split of a domain shift, as its file or its options say; None: it is applied."""
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
        """Return the shards to read and, where the shift is applied to them then, the golden samples."""
        shifted = self.resolve(refs.shards(dataset, split, shift, severity))
        if self.params.materialised(shift):
            return shifted, None
        return self.resolve(refs.shards(dataset, split)), refs.previews(shifted)

    @_once
    def _levels(self, shift: str) -> dict[float, str]:
        """Return the dataset of each severity of a domain shift that has some, at rising severity."""
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
        """Return the evaluation points of a stream, in order.

        Raises:
            ParamsError: times fall, one set is tested twice at one time, or support is also tested or is not stored.
        """
        module = registry.read("streams", self.params.use("streams", name))
        steps: list[Step] = module.steps(self.params.options("streams", name))
        check(name, steps)
        found: list[Condition] = []
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
            found.append(condition)
            sees = (*sees, *(shown.data for shown in support), *condition.reads)
            before = (*before, *map(str, step.support), str(step))
        return found

    def _shown(self, stream: str, one: Support) -> Shown:
        data, golden = self._data(one.dataset, one.split, one.shift, one.severity)
        if golden:
            raise ParamsError(
                f"streams.{stream}: support is read from stored shards, and those of {one.shift!r} are applied while "
                f"reading; set shifts.{one.shift}.materialise: true"
            )
        return Shown(data, one.part, one.of)

    def checkpoints(self, benchmark: Benchmark) -> list[Ref]:
        """Return a benchmark's checkpoints: architectures x trainers x seeds."""
        return list(dict.fromkeys(checkpoint for checkpoint, _ in self.wrapped(benchmark)))

    def wrapped(self, benchmark: Benchmark) -> list[tuple[Ref, str]]:
        """Return a benchmark's weights, each with every method that goes around it."""
        return [
            (refs.checkpoint(spec.dataset or benchmark.dataset, model, trainer, seed), method)
            for spec in benchmark.models
            for model in spec.architectures
            for trainer in spec.trainers
            for seed in spec.seeds
            for method in (benchmark.methods if spec.methods is None else spec.methods)
        ]

    def evaluates(self, name: str, checkpoint: Ref, method: str) -> bool:
        """Whether the benchmark of a name evaluates weights with a method around them."""
        return (checkpoint, method) in self._evaluated(name)

    @_once
    def _evaluated(self, name: str) -> frozenset[tuple[Ref, str]]:
        return frozenset(self.wrapped(self.params.benchmarks[name]))

    def rows(self, benchmark: Benchmark) -> list[dict[str, Any]]:
        """Return one row per evaluation artifact of a benchmark that can be made here, as aggregate reads it."""
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
        """Return the records whose features a benchmark keeps, as far as they can be made here."""
        kept = (
            refs.records(checkpoint, method, f"{benchmark.dataset}/{split}/identity", "0")
            for checkpoint, method in self.wrapped(benchmark)
            for split in benchmark.features
        )
        return [record for record in kept if record not in self.unbuildable]

    @_once
    def resolve(self, ref: Ref) -> Ref:
        """Send shards and previews that may not be passed on to data/local."""
        if ref.kind not in ("shards", "previews"):
            return ref
        dataset = ShardsName.of(ref).dataset
        module = registry.read("datasets", self.params.use("datasets", dataset))
        given = self.params.dataset(dataset).redistribute
        return Ref(ref.kind, ref.name, local=not (module.REDISTRIBUTE if given is None else given))


def _at(condition: Condition) -> str:
    return f"{condition.stream}/{condition.step}"


def _distinct(conditions: list[Condition]) -> list[Condition]:
    """Refuse streams of one benchmark whose rows could not be told apart: a row names the time, not the stream."""
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
    """Detectors look at the clean set and at the OOD sets; for the full spectrum at shifted sets, too.

    In a stream they look at the ID set and at the OOD sets, shifted or not.
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
