"""Evaluation points: what a campaign evaluates, in which order, and what each number is relative to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import RecordsName, Ref, ShardsName
from shiftbench.plugins.streams._steps import Step, Support, check
from shiftbench.workflow.plan.params import Campaign, Params

P = ParamSpec("P")
R = TypeVar("R")

ANY = "*"
"""What a domain shift is relative to, where that is the dataset of any campaign."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Labelled samples that a method may adapt on: the `part`-th of `of` disjoint parts of shards."""

    data: Ref
    part: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class EvaluationPoint:
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


def _once(method: Callable[Concatenate[EvaluationPoints, P], R]) -> Callable[Concatenate[EvaluationPoints, P], R]:
    """Keep what a method returns; of arguments that are equal it returns the same, 0 and 0.0 are."""

    @functools.wraps(method)
    def kept(self: EvaluationPoints, /, *args: P.args, **kwargs: P.kwargs) -> R:
        key = method.__name__, args, tuple(kwargs.items())
        if key not in self._kept:
            self._kept[key] = method(self, *args, **kwargs)
        found: R = self._kept[key]
        return found

    return kept


@dataclass(frozen=True, slots=True)
class EvaluationPoints:
    """The evaluation points that params name.

    Attributes:
        params: what to run.
        unbuildable: what cannot be made here.
    """

    params: Params
    unbuildable: frozenset[Ref] = frozenset()
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    @property
    def campaigns(self) -> dict[str, Campaign]:
        """The campaigns of which something can be made here."""
        return {name: c for name, c in self.params.campaigns.items() if self._any_row(name, c)}

    def _any_row(self, name: str, campaign: Campaign) -> bool:
        try:
            return any(True for _ in self._rows(campaign))
        except ParamsError as error:
            raise type(error)(f"campaigns.{name}: {error}") from error

    def all(self) -> list[EvaluationPoint]:
        """Return every evaluation point that any campaign evaluates."""
        return [place for campaign in self.campaigns.values() for place in self.of(campaign)]

    def here(self, point: EvaluationPoint) -> bool:
        """Tell whether what is read at an evaluation point can be made here."""
        return self.unbuildable.isdisjoint(point.reads)

    def of(self, campaign: Campaign) -> list[EvaluationPoint]:
        """Return every evaluation point that a campaign evaluates: clean, shifted, streams, OOD, kept features."""
        clean = self._plain(campaign.dataset, campaign.split, "identity", 0, None)
        found = [clean]
        for shift in campaign.shifts:
            for severity in self._severities(shift):
                found.append(self._plain(campaign.dataset, campaign.split, shift, severity, _at(clean)))
        walked = [place for name in campaign.streams for place in self.walk(name, _at(clean))]
        found += _distinct(walked)
        found += [self._plain(name, campaign.split, "identity", 0, None) for name in campaign.ood_groups]
        others = [split for split in campaign.features if split != campaign.split]
        found += [self._plain(campaign.dataset, split, "identity", 0, None) for split in others]
        return found

    def named(self, ref: Ref) -> EvaluationPoint:
        """Return the evaluation point that a records Ref names."""
        name = RecordsName.of(ref)
        if name.shards:
            return self._plain(*name.shards, reference=None)
        return next(p for p in self.walk(name.stream, None) if p.step == name.step)

    @_once
    def _plain(self, dataset: str, split: str, shift: str, severity: float, reference: str | None) -> EvaluationPoint:
        data, golden = self._data(dataset, split, shift, severity)
        domain, levels = self._domain(shift), self._levels(shift)
        if domain:
            if domain["clean"] not in (dataset, ANY):
                raise ParamsError(
                    f"domain shift {shift!r} is relative to {domain['clean']!r}, but the campaign's dataset is "
                    f"{dataset!r}; move it to a campaign on {domain['clean']!r}"
                )
            other = levels.get(severity, domain["dataset"])
            data, golden = self._data(other, domain["split"], "identity", 0)
        stream, step = f"{dataset}/{split}/{shift}", refs.number(severity)
        level = None if domain and not levels else severity
        return EvaluationPoint(stream, step, data, dataset, split, shift, level, reference, golden)

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
    def walk(self, name: str, reference: str | None = None) -> list[EvaluationPoint]:
        """Return the evaluation points of a stream, in order.

        Raises:
            ParamsError: times fall, one set is tested twice at one time, or support is also tested or is not stored.
        """
        module = registry.read("streams", self.params.use("streams", name))
        steps: list[Step] = module.steps(self.params.options("streams", name))
        check(name, steps)
        found: list[EvaluationPoint] = []
        sees: tuple[Ref, ...] = ()
        before: tuple[str, ...] = ()
        for number, step in enumerate(steps):
            if step.reset:
                sees, before = (), ()
            data, golden = self._data(*step.tested, step.shift, step.severity)
            support = tuple(self._shown(name, one) for one in step.support)
            point = EvaluationPoint(
                stream=name, step=f"{number:03d}", data=data, dataset=step.dataset, split=step.split,
                shift=step.shift, severity=step.severity, reference=reference, golden=golden,
                time=number if step.at is None else step.at, support=support, sees=sees, before=before,
            )  # fmt: skip
            found.append(point)
            sees = (*sees, *(shown.data for shown in support), *point.reads)
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

    def weights(self, campaign: Campaign) -> list[Ref]:
        """Return a campaign's weights: models x trainers x seeds."""
        return list(dict.fromkeys(of for of, _ in self.wrapped(campaign)))

    def wrapped(self, campaign: Campaign) -> list[tuple[Ref, str]]:
        """Return a campaign's weights, each with every method that goes around it."""
        return [
            (refs.weights(spec.dataset or campaign.dataset, model, trainer, seed), method)
            for spec in campaign.weights
            for model in spec.models
            for trainer in spec.trainers
            for seed in spec.seeds
            for method in (campaign.methods if spec.methods is None else spec.methods)
        ]

    def evaluates(self, name: str, weights: Ref, method: str) -> bool:
        """Tell whether the campaign of a name evaluates weights with a method around them."""
        return (weights, method) in self._evaluated(name)

    @_once
    def _evaluated(self, name: str) -> frozenset[tuple[Ref, str]]:
        return frozenset(self.wrapped(self.params.campaigns[name]))

    def rows(self, campaign: Campaign) -> list[dict[str, Any]]:
        """Return one row per evaluation artifact of a campaign that can be made here, as aggregate reads it."""
        return list(self._rows(campaign))

    def _rows(self, campaign: Campaign) -> Iterator[dict[str, Any]]:
        points = self.of(campaign)
        rows = (
            _row(campaign, of, method, detector, point)
            for of, method in self.wrapped(campaign)
            for point in points
            for detector in (None, *_detectors(campaign, point))
        )
        return (row for row in rows if Ref("records", row["records"]) not in self.unbuildable)

    def kept_features(self, campaign: Campaign) -> list[Ref]:
        """Return the records whose features a campaign keeps, as far as they can be made here."""
        kept = (
            refs.records(of, method, f"{campaign.dataset}/{split}/identity", "0")
            for of, method in self.wrapped(campaign)
            for split in campaign.features
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


def _at(point: EvaluationPoint) -> str:
    return f"{point.stream}/{point.step}"


def _distinct(walked: list[EvaluationPoint]) -> list[EvaluationPoint]:
    """Refuse streams of one campaign whose rows could not be told apart: a row names the time, not the stream."""
    streams: dict[tuple[Any, ...], str] = {}
    for place in walked:
        row = (place.time, place.dataset, place.split, place.shift, place.severity)
        other = streams.setdefault(row, place.stream)
        if other != place.stream:
            raise ParamsError(
                f"streams {other!r} and {place.stream!r} test {'/'.join(map(str, row[1:]))} at the same time {row[0]}; "
                "give them to campaigns of their own, or other times (`at`)"
            )
    return walked


def _detectors(campaign: Campaign, point: EvaluationPoint) -> tuple[str, ...]:
    """Detectors look at the clean set and at the OOD sets; for the full spectrum at shifted sets, too.

    In a stream they look at the ID set and at the OOD sets, shifted or not.
    """
    if point.split != campaign.split:
        return ()
    if point.time is not None:
        seen = point.dataset in (campaign.dataset, *campaign.ood_groups)
    else:
        seen = point.shift == "identity" or campaign.full_spectrum
    return campaign.detectors if seen else ()


def _row(campaign: Campaign, of: Ref, method: str, detector: str | None, point: EvaluationPoint) -> dict[str, Any]:
    record = refs.records(of, method, point.stream, point.step)
    return {
        "weights": of.name,
        "method": method,
        "detector": detector,
        "dataset": point.dataset,
        "split": point.split,
        "shift": point.shift,
        "severity": point.severity,
        "step": point.time,
        "reference": point.reference,
        "ood": point.dataset in campaign.ood_groups and point.dataset != campaign.dataset,
        "ood_group": campaign.ood_groups.get(point.dataset),
        "records": record.name,
        "scores": refs.scores(record, detector).name if detector else None,
    }
