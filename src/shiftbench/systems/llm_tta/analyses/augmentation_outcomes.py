"""Effect of a test-time augmentation on each prediction, and how often a gate allows it: from records of two methods.

Of each sample, under each method in `told`: `new_correct`, `new_mistake`, `unchanged_correct`, `unfixed_mistake`; one
of them is 1, and their means are shares. Under a gate also `augmentation_rate`: 1 where the entropy of the plain
prediction is at least the gate's threshold, which is `threshold` there (one number, without an interval). Under
`plain`: `entropy` of the prediction, in nats.

Source: O'Brien et al. 2024, arXiv:2402.08225, section 5 and its tables; the gate is `methods/esa.py`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.llm_tta.methods import _gate, _recorded

Place = tuple[str, str, str]
"""Split, shift and step of a position."""

OUTCOMES = {
    "new_correct": (False, True),
    "new_mistake": (True, False),
    "unchanged_correct": (True, True),
    "unfixed_mistake": (False, False),
}
"""Right without augmentation, right with it."""


class Options(declare.Options):
    told: list[str] = Field([], description="methods to analyse; none: all of the benchmark but `plain`")
    gates: dict[str, str] = Field({}, description="methods that are gates, each with the augmentation behind it")
    thresholds: dict[str, float] = Field(
        {}, description="entropy thresholds of gates, in nats; others are searched on val"
    )
    shifts: list[str] = Field([], description="domain shifts to analyse in addition to the clean set")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records of all methods under all conditions, and those that thresholds are searched on.

    Raises:
        ParamsError: a method is not one of the benchmark's.
    """
    _check(params)
    places = _places(params)
    records = []
    for name in params["checkpoints"]:
        methods = {"plain", *_methods(params), *params["gates"].values()}
        records += [_record(params, name, method, place) for place in places for method in methods]
        gate_methods = [params["gates"][gate] for gate in _gates_to_search(params)]
        behind = {"plain", *gate_methods} if gate_methods else set()
        records += [_record(params, name, method, _VAL) for method in behind]
    return sorted(set(records))


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the observations of all weights, methods and positions."""
    for name in job.params["checkpoints"]:
        thresholds = {gate: float(at) for gate, at in job.params["thresholds"].items()}
        for gate in _gates_to_search(job.params):
            val = _pair(job, name, job.params["gates"][gate], _VAL)
            thresholds[gate] = _recorded.threshold(val)
        for gate, threshold in thresholds.items():
            dataset = job.params["dataset"]
            yield Observation("threshold", "val", threshold, name, dataset, "val", gate)
        for place in _places(job.params):
            yield from _at(job, name, place, thresholds)


def _at(job: Measurement, name: str, place: Place, thresholds: Mapping[str, float]) -> Iterator[Observation]:
    split, shift, _ = place
    condition = {"model": name, "dataset": job.params["dataset"], "split": split, "shift": shift}
    severity = 0.0 if shift == "identity" else None
    plain = _pair(job, name, "plain", place)
    entropies = _gate.entropy(plain.plain)
    for key, value in zip(plain.keys, entropies.tolist(), strict=True):
        yield Observation("entropy", key, value, severity=severity, **condition)
    for method in _methods(job.params):
        pair = _pair(job, name, method, place)
        plain_right, augmented_right = (flags.tolist() for flags in pair.right)
        for key, one, other in zip(pair.keys, plain_right, augmented_right, strict=True):
            for metric, outcome in OUTCOMES.items():
                value = float((one, other) == outcome)
                yield Observation(metric, key, value, method=method, severity=severity, **condition)
    for gate, threshold in thresholds.items():
        for key, unsure in zip(plain.keys, (entropies >= threshold).tolist(), strict=True):
            value = float(unsure)
            yield Observation("augmentation_rate", key, value, method=gate, severity=severity, **condition)


_VAL: Place = ("val", "identity", "0")


def _methods(params: Mapping[str, Any]) -> list[str]:
    return list(params["told"]) or [name for name in params["methods"] if name != "plain"]


def _gates_to_search(params: Mapping[str, Any]) -> list[str]:
    return [gate for gate in params["gates"] if gate not in params["thresholds"]]


def _places(params: Mapping[str, Any]) -> list[Place]:
    return [(params["split"], "identity", "0"), *((params["split"], shift, "1") for shift in params["shifts"])]


def _record(params: Mapping[str, Any], model: str, method: str, place: Place) -> Ref:
    split, shift, step = place
    return refs.records(Ref("checkpoints", model), method, f"{params['dataset']}/{split}/{shift}", step)


def _pair(job: Measurement, model: str, method: str, place: Place) -> _recorded.Pair:
    plain, other = (job.inputs[_record(job.params, model, one, place)] for one in ("plain", method))
    return _recorded.pair(plain, other)


def _check(params: Mapping[str, Any]) -> None:
    methods = params["methods"]
    names = (*params["told"], *params["gates"], *params["gates"].values(), *params["thresholds"])
    for method in ("plain", *names):
        if method not in methods:
            raise ParamsError(
                f"augmentation_outcomes: {method!r} is no method of the benchmark; {suggest(method, methods)}"
            )
