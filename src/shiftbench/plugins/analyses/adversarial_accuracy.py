"""Accuracy at the worst point that an attack finds in a ball around each picture, of the network that is tested.

For each of the benchmark's weights and the first `samples` pictures of the tested split: 1 where the prediction at the
point with the highest cross-entropy is right, else 0. The group of a row names search, norm and radius. No shards can
hold attacked pictures, since each network has its own.

Source: Madry et al., ICLR 2018 (PGD); Croce and Hein, ICML 2020 (Auto-PGD). An attack that finds nothing proves
nothing: what is reported is an upper bound of the accuracy in the ball.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _adversary

PARAMS: dict[str, object] = {
    "search": "pgd",
    "norm": "linf",
    "eps": 0.05,
    "steps": 10,
    "step": None,
    "random_start": True,
    "best": True,
    "samples": 1000,
}
BATCH = 250


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights and the tested shards."""
    return [*(Ref("checkpoints", name) for name in params["checkpoints"]), _tested(params)]


def _tested(params: Mapping[str, Any]) -> Ref:
    return refs.shards(params["dataset"], params["split"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield for each weights and picture whether the prediction withstands."""
    params = job.params
    group = f"{params['search']}_{params['norm']}_{params['eps']:g}"
    for name in params["checkpoints"]:
        predictor = job.predictor(Ref("checkpoints", name))
        adversary = _adversary.Adversary(predictor.model, params)
        samples = islice(shards.read(job.folder(_tested(params))), params["samples"])
        for number, batch in enumerate(batching.batches(samples, BATCH)):
            words = RandomStream(job.seed, "adversarial_accuracy", params["dataset"], str(number))
            labels = torch.tensor([int(sample.fields["label"]) for sample in batch])
            inputs, labels = predictor.prepare(batch), labels.to(predictor.device)
            attacked = adversary(predictor.net, inputs, labels, words)
            with torch.inference_mode():
                right = nets.both(predictor.net, attacked)[1].argmax(1) == labels
            for sample, value in zip(batch, right.tolist(), strict=True):
                yield Observation(
                    "adversarial_accuracy",
                    sample.key,
                    float(value),
                    name,
                    params["dataset"],
                    params["split"],
                    group=group,
                )
