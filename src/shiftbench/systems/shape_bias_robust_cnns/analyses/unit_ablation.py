"""Ablation: how much accuracy a model loses on each test set when one unit gives zeros.

`ablation_drop`, of a unit: accuracy of the model less that without the unit, on the first pictures of the
clean set and of each of `shifts` (`patch_shuffle/5`). The group of a row is the layer.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373, `ablation.py` of https://github.com/anguyen8/shape-bias (one
channel, or all of a concept, set to zero after the rectifier).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import TorchPredictor
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _units

CLEAN = "identity/0"


class Options(declare.Options):
    layers: _units.Layers = Field({"conv1": "body.2"})
    shifts: list[str] = Field([], description="tested shifts, SHIFT/SEVERITY, in addition to the clean set")
    samples: _units.Samples = 500
    only: _units.Only = Field([])


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints and the shards of the clean set and of all shifts."""
    weights = [Ref("checkpoints", name) for name in _units.measured(params)]
    return [*weights, *(_units.place(shift, params) for shift in (CLEAN, *params["shifts"]))]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the accuracy that each model loses without each unit, on each set."""
    params = job.params
    for name in _units.measured(params):
        predictor = job.predictor(Ref("checkpoints", name))
        for shift in (CLEAN, *params["shifts"]):
            kind, _, severity = shift.partition("/")
            place = {"dataset": params["dataset"], "split": params["split"], "shift": kind}
            pictures = list(_units.batches(job, _units.place(shift, params)))
            for layer, unit, drop in drops(predictor, pictures, params["layers"]):
                key = f"{layer}_{unit:04d}"
                columns = {**place, "severity": float(severity), "group": layer}
                yield Observation("ablation_drop", key, drop, name, **columns)


def drops(
    predictor: TorchPredictor, pictures: list[list[Sample]], layers: Mapping[str, str]
) -> Iterator[tuple[str, int, float]]:
    """Yield layer, unit and how much accuracy is lost without it."""
    prepared = [predictor.prepare(batch) for batch in pictures]
    labels = np.array([int(sample.fields["label"]) for batch in pictures for sample in batch])
    intact_accuracy = _accuracy(predictor, prepared, labels)
    for layer, path in layers.items():
        module = _units.layer(predictor.net, path)
        width = _units.activations(predictor, {layer: path}, pictures[0][:1])[layer].shape[1]
        for unit in range(width):
            with _units.without(module, unit):
                yield layer, unit, intact_accuracy - _accuracy(predictor, prepared, labels)


def _accuracy(predictor: TorchPredictor, prepared: list[NDArray[Any]], labels: NDArray[np.int64]) -> float:
    answers = [predictor.predict_prepared(batch)["logits"].argmax(1) for batch in prepared]
    return float((np.concatenate(answers) == labels).mean())
