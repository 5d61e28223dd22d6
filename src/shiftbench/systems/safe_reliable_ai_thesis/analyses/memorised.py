"""Memorisation: how often a model gives training samples the wrong labels that it was shown.

`memorised` of each training sample whose label was flipped is 1 where the model predicts the flipped label;
`recovered` where it predicts the true one. A trainer with `train_on: label_noise/SHARE` learns from such labels.

Source: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization", arXiv:1611.03530; part of
requirement (ii) of Ao's thesis (arXiv:2308.03176), whose method was not found.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation

BATCH = 256


class Options(declare.Options):
    trainer: str = Field("", description="trainer that learned from wrong labels")
    severity: float = Field(0.2, ge=0, le=1, description="share of wrong labels that it learned from")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints of the trainer, and their training samples, clean and with flipped labels.

    Raises:
        ParamsError: no weights are of this trainer.
    """
    names = _looked_at(params)
    if not names:
        raise ParamsError(f"memorised: no weights of the benchmark are of trainer {params['trainer']!r}")
    shards = [ref for name in names for ref in _pair(params, name)]
    return list(dict.fromkeys([*(Ref("checkpoints", name) for name in names), *shards]))


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the two numbers of each flipped sample of all weights."""
    for name in _looked_at(job.params):
        clean, trained_on = (job.samples(ref) for ref in _pair(job.params, name))
        flipped = [
            (sample, trained_sample.fields["label"])
            for sample, trained_sample in zip(clean, trained_on, strict=True)
            if sample.fields["label"] != trained_sample.fields["label"]
        ]
        predictor = job.predictor(Ref("checkpoints", name))
        for low in range(0, len(flipped), BATCH):
            batch = flipped[low : low + BATCH]
            predictions = predictor([sample for sample, _ in batch])["logits"].argmax(axis=1)
            for (sample, wrong_label), prediction in zip(batch, predictions.tolist(), strict=True):
                columns = {"model": name, "dataset": job.params["dataset"], "split": "train"}
                true_label = sample.fields["label"]
                yield Observation("memorised", sample.key, float(prediction == wrong_label), **columns)
                yield Observation("recovered", sample.key, float(prediction == true_label), **columns)


def _looked_at(params: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name in params["checkpoints"]
        if CheckpointName.of(Ref("checkpoints", name)).trainer == params["trainer"]
    ]


def _pair(params: Mapping[str, Any], name: str) -> tuple[Ref, Ref]:
    dataset = CheckpointName.of(Ref("checkpoints", name)).dataset
    return refs.shards(dataset, "train"), refs.shards(dataset, "train", "label_noise", params["severity"])
