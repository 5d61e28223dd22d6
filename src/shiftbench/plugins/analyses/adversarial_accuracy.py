"""Adversarial accuracy: the accuracy at the worst point that an attack finds in a ball around each image.

For each model of the benchmark and the first images of the tested split: 1 where the prediction at the point with the
highest cross-entropy is correct, else 0. The group of a row names search, norm and radius. Attacked images are in no
shards, since each model has its own.

Source: Madry et al., ICLR 2018 (PGD); Croce and Hein, ICML 2020 (Auto-PGD). An attack that finds nothing proves
nothing: what is reported is an upper bound of the accuracy in the ball.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _adversary

BATCH = 250


class Options(declare.Options):
    search: Literal["pgd", "apgd"] = Field("pgd", description="PGD, or Auto-PGD, which needs no step")
    norm: Literal["linf", "l2"] = Field("linf", description="norm of the ball")
    eps: float = Field(0.05, ge=0, description="radius of the ball, as a share of white")
    steps: int = Field(10, ge=0, description="steps of the attack")
    step: float | None = Field(None, gt=0, description="size of a step, as a share of white; null: 2.5 eps / steps")
    random_start: bool = Field(True, description="start at a random point, not at the image")
    best: bool = Field(True, description="take the point with the highest loss, not the last")
    samples: int = Field(1000, ge=1, description="images at most, from the first on")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints and the tested shards."""
    return [*(Ref("checkpoints", name) for name in params["checkpoints"]), _tested(params)]


def _tested(params: Mapping[str, Any]) -> Ref:
    return refs.shards(params["dataset"], params["split"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield for each model and image whether the prediction at the worst point is correct."""
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
                correct = nets.both(predictor.net, attacked)[1].argmax(1) == labels
            for sample, value in zip(batch, correct.tolist(), strict=True):
                yield Observation(
                    "adversarial_accuracy",
                    sample.key,
                    float(value),
                    name,
                    params["dataset"],
                    params["split"],
                    group=group,
                )
