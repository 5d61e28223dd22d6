"""What trainers with auxiliary outliers share: options, needs, and one forward pass over both batches."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.trainers import _loop, _outliers, erm, finetune

PerSample = Annotated[int, Field(ge=1, description="outliers for each training sample of a batch")]
Weight = Annotated[float, Field(ge=0, description="weight of the loss on outliers")]


class Options(declare.Options):
    start: finetune.Start = "erm"
    outliers: str = Field("animal_shape", description="dataset of outliers, from whose train split batches are drawn")
    epochs: fields.Epochs = 3
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "sgd"
    lr: fields.LearningRate = 0.01
    schedule: fields.Schedule = "cosine"
    weight_decay: fields.WeightDecay = 0.00001
    statistics: finetune.Statistics = "learnt"
    shift: fields.Shift = 1
    flip: fields.Flip = False
    crops: fields.Crops = None


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights to start from, the train and val shards, and the outliers'."""
    return [*finetune.needs(params), *_outliers.needs(params)]


def both(
    network: nn.Module,
    batch: npt.NDArray[Any],
    outliers: _outliers.Outliers,
    rng: RandomStream,
    params: Mapping[str, Any],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of a batch and of freshly drawn outliers, in one forward pass.

    Args:
        network: in training mode.
        batch: prepared samples.
        outliers: to draw from.
        rng: of this step: those that move the batch come first, as in plain fine-tuning.
        params: `shift`, `flip`, `per_sample`.
    """
    shift, flip = params["shift"], params["flip"]
    seen = erm.move(batch, rng, shift, flip=flip)
    drawn = outliers.draw(rng, params["per_sample"] * len(batch))
    drawn = erm.move(drawn, rng, shift, flip=flip)
    logits: torch.Tensor = network(_loop.tensor(np.concatenate([seen, drawn]), network))
    return logits[: len(batch)], logits[len(batch) :]
