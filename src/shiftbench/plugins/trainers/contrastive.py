"""Pre-training of a dual encoder: InfoNCE between images and the names of their classes.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021
(https://arxiv.org/abs/2103.00020), section 2.3: both directions, a learned scale. Differs: the texts are prompts from
class names, and many images of a batch share one.

The head is made of the names of the dataset's own classes, on raw features: what it predicts is what zero-shot
classification predicts. `zero_shot` makes a classifier of other names, `linear_probe` one from labels.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.self_supervised import info_nce
from shiftbench.plugins.models import _pairs
from shiftbench.plugins.trainers import _loop, erm

TITLE = "InfoNCE"
TASKS = ("classification",)
READS_SOURCES = True  # the text tower's


class Options(declare.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    template: str = Field("a photo of a {}", description="prompt, with {} for the class name")
    shift: fields.Shift = 1
    flip: fields.Flip = False


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards; the text tower's originals are the model's `needs`."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    if not hasattr(job.plugin, "texts"):
        raise ModelError(f"model {job.model!r} has no text tower (`texts`); take dual_encoder")
    network: Any = _loop.fresh_net(job)
    named = _pairs.prompts(job.classes, job.params["template"])

    def loss(network: Any, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        texts = job.plugin.texts(network, named, job.model_params, job.inputs)[labels]
        return info_nce(network.image(_loop.tensor(seen, network)), texts, network.scale)

    def named_head() -> dict[str, torch.Tensor]:
        with torch.no_grad():
            texts = job.plugin.texts(network, named, job.model_params, job.inputs)
        return _pairs.from_texts(network.state_dict(), texts, network.scale.item(), unit=False)

    inputs, labels = _loop.data(job, "val")

    def validate(network: torch.nn.Module) -> float:
        network.load_state_dict(named_head())
        return _loop.accuracy(network, inputs, labels)

    _loop.fit(job, network, loss, validate=validate)
    job.log(0, "scale", network.scale.item())
    return named_head()
