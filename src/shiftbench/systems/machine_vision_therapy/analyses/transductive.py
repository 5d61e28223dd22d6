"""Accuracy of fine-tuned networks on the very images that they were fine-tuned on: the paper's protocol, next to ours.

`transductive_accuracy` of the weights in `trainers` on `target` (its test split) under each of `shifts`, plain. No true
label of these images was learned from, but they were seen, so that this is no estimate for other images.

Source: Huang et al. 2024, arXiv:2312.02546, `fine_tuning.py` of its repository, which evaluates on its training images.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation


class Options(declare.Options):
    target: str = Field("", description="data set that models were fine-tuned on, and whose test split is analysed")
    trainers: dict[str, list[str | float]] = Field(
        {}, description="trainers, each with [shift, severity] of its images"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records of fine-tuned models on their training data set."""
    return [_record(params, model) for model in _models(params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield whether each prediction is right."""
    for model in _models(job.params):
        shift, severity = job.params["trainers"][_trainer(model)]
        table = schema.read(job.inputs[_record(job.params, model)])
        keys, correct = table.column("key").to_pylist(), table.column("correct").to_pylist()
        for key, one in zip(keys, correct, strict=True):
            yield Observation(
                "transductive_accuracy", key, float(one), model, job.params["target"],
                shift=shift, severity=float(severity),
            )  # fmt: skip


def _models(params: Mapping[str, Any]) -> list[str]:
    return [name for name in params["checkpoints"] if _trainer(name) in params["trainers"]]


def _trainer(model: str) -> str:
    return model.rpartition("/")[2].split("-")[1]


def _record(params: Mapping[str, Any], model: str) -> Ref:
    shift, severity = params["trainers"][_trainer(model)]
    stream = f"{params['target']}/test/{shift}"
    return refs.records(Ref("checkpoints", model), "plain", stream, refs.number(severity))
