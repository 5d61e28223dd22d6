"""Fine-tuning: a probed network trained further, a few epochs at a small rate.

Source: Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
ICLR 2022 (LP-FT: start from the linear probe, which distorts features less). Differs: only the last part of
the network is trained (`trained`), and the statistics of
normalisation layers stay those of the pretraining, since small sets do not give better ones (`statistics: kept`).
With `trained: 1.0` and `statistics: learnt` it is plain fine-tuning, the control of trainers that add a loss.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop, erm

TITLE = "fine-tuning"
TASKS = ("classification", "text_classification")


Start = Annotated[str, Field(description="trainer whose checkpoint of the same data set, model and seed is the start")]
Statistics = Annotated[
    Literal["kept", "learnt"],
    Field(description="running statistics of batch norm: kept as they are, or learned from the batches"),
]


class Options(declare.Options):
    start: Start = "linear_probe"
    epochs: fields.Epochs = 3
    batch_size: fields.BatchSize = 32
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.0001
    schedule: fields.Schedule = "one_cycle"
    weight_decay: fields.WeightDecay = 0.01
    smoothing: fields.Smoothing = 0.0
    trained: float = Field(0.3, ge=0, le=1, description="share of the parameter tensors that learn, from the last one")
    statistics: Statistics = "kept"
    shift: fields.Shift = 8
    flip: fields.Flip = True
    crops: fields.Crops = None


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The probed weights of the same seed, and the train and val shards."""
    start = refs.checkpoint(params["dataset"], params["model"], params["start"], params["seed"])
    return [start, *(refs.shards(params["dataset"], split) for split in ("train", "val"))]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    network = begin(job)
    freeze(network, job.params["trained"])

    def loss(network: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        seen = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        return cross_entropy(network(_loop.tensor(seen, network)), labels, job.params["smoothing"])

    return dict(_loop.fit(job, network, loss, mode(job.params["statistics"])).state_dict())


def begin(job: TrainJob) -> nn.Module:
    """The job's network with the weights that it starts from.

    Raises:
        ModelError: the model is a black box.
    """
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"model {job.model!r} is a black box and cannot be fine-tuned; probe it")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    network: nn.Module = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(network, nets.read_state(start), start)
    return network


def mode(statistics: str) -> Callable[[nn.Module], object]:
    """Function that puts a network in training mode, with its running statistics `kept` or `learnt`.

    Raises:
        ParamsError: another word.
    """
    modes: dict[str, Callable[[nn.Module], object]] = {"kept": keep_statistics, "learnt": nn.Module.train}
    if statistics not in modes:
        raise ParamsError(f"statistics = {statistics!r}; {suggest(statistics, modes)}")
    return modes[statistics]


def freeze(network: nn.Module, trained: float) -> None:
    """Let only the last share `trained` (0 to 1) of the parameter tensors learn; the head always does."""
    parameters = list(network.parameters())
    for parameter in parameters[: round((1 - trained) * len(parameters))]:
        parameter.requires_grad = False
    for parameter in network.get_submodule("head").parameters():
        parameter.requires_grad = True


def keep_statistics(network: nn.Module) -> None:
    """Put a network in training mode, its batch normalisation in evaluation mode."""
    network.train()
    for part in network.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
