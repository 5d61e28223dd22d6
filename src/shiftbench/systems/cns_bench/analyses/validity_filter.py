"""Validity filter: how well scores, and votes of them, tell images that lost their class from those that have not.

The images are those of one shift whose severity says which is which (`class_morph`): severities `in_class` and
`out_of_class`. Thresholds are fitted on the share `calibration` of the keys, or given (`thresholds`); everything is
reported of the other keys. Each row is of one score alone (detector: its name) or of a vote (detector `keep_K_of_N`:
an image stays when K of N scores pass at least, and goes when N - K + 1 fail): `true_positive_rate` (OOC images that
go), `false_positive_rate` (others that go), `balanced_accuracy`, at equal numbers of both per key. Under `applied`,
shifts that keep the class: `kept_share` at each severity and, without a severity, of whole paths (an image and all
its severities). `monotone_rate` is the share of steps along the severities of the first shift at which a score falls.

Rows have the weights `DATASET/validity-filter-sSEED`; SEED is the training seed of all networks that give scores.
`named` is what rows call the shift, so that means over seeds are taken where each seed has a shift of its own.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651: four scores, thresholds that each remove 90% of hand-labelled OOC
images, 2 of 4 must pass, and a path stays as a whole. Differs: labels are known by construction.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.cns_bench.analyses import _validity

Floats = NDArray[np.float64]


Severity = Annotated[float, Field(ge=0)]


class Options(declare.Options):
    shift: str = Field("class_morph", description="shift whose severity decides whether an image lost its class")
    named: str = Field("", description="name of the shift in rows; empty: its own")
    in_class: list[Severity] = Field(
        [0.125, 0.375, 0.625, 0.875], description="severities at which images have their class"
    )
    out_of_class: list[Severity] = Field([1.625, 1.875, 2.125, 2.375], description="severities at which images lost it")
    scores: dict[str, dict[str, str]] = Field(
        {}, description="scores by name: `{of: KIND, model: DATASET/MODEL-TRAINER}`"
    )
    seed: int = Field(0, ge=0, description="training seed of all networks that give scores")
    recall: float = Field(
        0.9, gt=0, le=1, description="share of out-of-class images that each fitted threshold removes"
    )
    calibration: float = Field(0.5, ge=0, le=1, description="share of the keys that thresholds are fitted on")
    thresholds: dict[str, float] = Field({}, description="threshold of each score; {}: fitted")
    applied: dict[str, list[Severity]] = Field({}, description="shifts that keep the class, and their severities")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The networks that give scores, the clean shards, and those of all shifts.

    Raises:
        ParamsError: a score, or the list of severities, is wrong.
    """
    if not params["in_class"] or len(params["in_class"]) != len(params["out_of_class"]):
        raise ParamsError("validity_filter: in_class and out_of_class list as many severities each")
    checkpoints = [_checkpoint(score, params["seed"]) for score in _validity.scores(params["scores"])]
    return list(dict.fromkeys([*checkpoints, *_shards(params)]))


def _checkpoint(score: _validity.Score, seed: int) -> Ref:
    return Ref("checkpoints", f"{score.model}-s{seed}")


def _shards(params: Mapping[str, Any]) -> list[Ref]:
    steps = {params["shift"]: [*params["in_class"], *params["out_of_class"]], **params["applied"]}
    place = params["dataset"], params["split"]
    clean = refs.shards(*place)
    return [clean, *(refs.shards(*place, shift, at) for shift, all_ in steps.items() for at in all_)]


class _Images:
    """The images of a split under any shift, as scores see them."""

    def __init__(self, job: Measurement) -> None:
        params = job.params
        self._job, self._scores = job, _validity.scores(params["scores"])
        self._predictors = {s.model: job.predictor(_checkpoint(s, params["seed"])) for s in self._scores}
        clean = job.samples(refs.shards(params["dataset"], params["split"]))
        self.keys = [sample.key for sample in clean]
        self._labels = np.array([sample.fields["label"] for sample in clean], dtype=np.int64)
        self._clean = {name: _validity.outputs(predictor, clean) for name, predictor in self._predictors.items()}

    @property
    def names(self) -> list[str]:
        """The names of the scores."""
        return [score.name for score in self._scores]

    def under(self, shift: str, severities: Sequence[float]) -> Floats:
        """Scores float64 (severities, n, m), n in the order of `keys`."""
        params = self._job.params
        places = [refs.shards(params["dataset"], params["split"], shift, at) for at in severities]
        return np.stack([self._of(self._job.samples(place)) for place in places])

    def _of(self, samples: list[Sample]) -> Floats:
        if [sample.key for sample in samples] != self.keys:
            raise DataError("shards of a shift have other keys than the clean ones; make them again")
        outputs = {name: _validity.outputs(predictor, samples) for name, predictor in self._predictors.items()}
        columns = [
            _validity.value(one.of, outputs[one.model], self._clean[one.model], self._labels) for one in self._scores
        ]
        return np.stack(columns, axis=1)


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what every score and every vote does to each image that thresholds were not fitted on.

    Raises:
        ParamsError: `thresholds` names other scores, or nothing is left to fit on or to report.
    """
    params, images = job.params, _Images(job)
    fits = np.array([splits.unit("calibration", key) < params["calibration"] for key in images.keys])
    morphs = images.under(params["shift"], [*params["in_class"], *params["out_of_class"]])
    out = np.repeat([False, True], len(params["in_class"]))
    voters = _validity.voters(images.names, _thresholds(params, images.names, morphs[:, fits], out))
    rows = _Rows(params, [key for key, fit in zip(images.keys, fits, strict=True) if not fit])
    if not rows.keys:
        raise ParamsError("validity_filter: no image is left to report; set calibration below 1")
    yield from _rate_rows(rows, voters, morphs[:, ~fits], out)
    yield from _monotone_rows(rows, images.names, morphs[:, ~fits])
    clean = images.under("identity", [0])
    for shift, severities in params["applied"].items():
        path = np.concatenate([clean, images.under(shift, severities)])[:, ~fits]
        yield from _kept_share_rows(rows, voters, shift, [0, *severities], path)


def _thresholds(params: Mapping[str, Any], names: list[str], morphs: Floats, out: _validity.Flags) -> Floats:
    """The thresholds that are given, or fitted on morphs (severities, n, m)."""
    thresholds = params["thresholds"]
    if not thresholds:
        flags = np.repeat(out, morphs.shape[1])
        return _validity.fit_thresholds(morphs.reshape(-1, len(names)), flags, params["recall"])
    if set(thresholds) != set(names):
        raise ParamsError(f"thresholds are for {', '.join(thresholds)}, scores are {', '.join(names)}")
    return np.array([float(thresholds[name]) for name in names])


@dataclass(frozen=True, slots=True)
class _Rows:
    """Options and image keys of observations."""

    params: Mapping[str, Any]
    keys: list[str]

    def of(self, metric: str, detector: str, values: Floats, **place: Any) -> Iterator[Observation]:
        """Yield one observation per image."""
        params = self.params
        model = refs.checkpoint(params["dataset"], "validity", "filter", params["seed"]).name
        shift = params["named"] or params["shift"]
        condition = {"dataset": params["dataset"], "split": params["split"], "shift": shift}
        for key, value in zip(self.keys, values, strict=True):
            yield Observation(metric, key, float(value), model, detector=detector, **{**condition, **place})


def _rate_rows(
    rows: _Rows, voters: list[_validity.Voter], morphs: Floats, out: _validity.Flags
) -> Iterator[Observation]:
    for voter in voters:
        keep = voter.keeps(morphs)
        each = [_validity.rates(keep[:, image], out) for image in range(keep.shape[1])]
        for metric in each[0]:
            values = np.array([one[metric] for one in each])
            yield from rows.of(metric, voter.name, values)


def _monotone_rows(rows: _Rows, names: list[str], morphs: Floats) -> Iterator[Observation]:
    steps = (np.diff(morphs, axis=0) < 0).mean(axis=0)
    for at, name in enumerate(names):
        yield from rows.of("monotone_rate", name, steps[:, at])


def _kept_share_rows(
    rows: _Rows, voters: list[_validity.Voter], shift: str, severities: Sequence[float], scores: Floats
) -> Iterator[Observation]:
    for voter in voters:
        keep = voter.keeps(scores)
        for severity, flags in zip(severities, keep, strict=True):
            yield from rows.of("kept_share", voter.name, flags.astype(float), shift=shift, severity=float(severity))
        whole = _validity.whole(keep.ravel(), rows.keys * len(severities))[: len(rows.keys)]
        yield from rows.of("kept_share", voter.name, whole.astype(float), shift=shift)
