"""Accuracy of fine-tuned nets on the very images that they were fine-tuned on: the paper's protocol, beside ours.

`transductive_accuracy` of the weights in `trainers` on `target` (its test split) under each of `shifts`, plain. No true
label of these images was learnt from, but they were seen, so that this is no estimate for other images.

Source: Huang et al. 2024, arXiv:2312.02546, `fine_tuning.py` of its repository, which evaluates on its training images.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.plugins.contracts import Measurement, Observation

PARAMS: dict[str, object] = {"target": "", "trainers": {}}
"""`trainers`: trainer -> [shift, severity] that it was fine-tuned under."""


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Records of fine-tuned models on their training data set."""
    return [_record(params, weights) for weights in _weights(params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield whether each prediction is right."""
    for weights in _weights(job.params):
        shift, severity = job.params["trainers"][_trainer(weights)]
        table = schema.read(job.inputs[_record(job.params, weights)])
        keys, right = table.column("key").to_pylist(), table.column("correct").to_pylist()
        for key, one in zip(keys, right, strict=True):
            yield Observation(
                "transductive_accuracy", key, float(one), weights, job.params["target"],
                shift=shift, severity=float(severity),
            )  # fmt: skip


def _weights(params: Mapping[str, Any]) -> list[str]:
    return [name for name in params["checkpoints"] if _trainer(name) in params["trainers"]]


def _trainer(weights: str) -> str:
    return weights.rpartition("/")[2].split("-")[1]


def _record(params: Mapping[str, Any], weights: str) -> Ref:
    shift, severity = params["trainers"][_trainer(weights)]
    stream = f"{params['target']}/test/{shift}"
    return refs.records(Ref("checkpoints", weights), "plain", stream, refs.number(severity))
