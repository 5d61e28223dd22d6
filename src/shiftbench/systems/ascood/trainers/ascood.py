"""ASCOOD: images that are damaged where their class is become outliers, and are taught the uniform prediction.

    loss = CE(f(x), y) + weight * KL(uniform || softmax f(x')), x' of `_attribution`, both in one batch

Source: "Going Beyond Conventional OOD Detection", 2024, arXiv:2411.10794, section 3 (later "Image-based Outlier
Synthesis With Training Data"); sudarshanregmi/ASCOOD. Its head sees standardised features: the model `standardised`.
alpha falls to `alpha_min` in the last of E epochs, from `alpha_max` less one step of E (300 to 30 over 30 epochs begins
with 291, as in the released trainer), and counts normalised pixels (`mean`, `std` of [0, 1]; a list of one, or one per
channel). `kl: false` is the port in OpenOOD: a network of 1-512-2 units learns to tell clean from damaged images by
LSE(f), its cross-entropy having the weight; it is thrown away. `start`: whose weights are trained on.

Paper, from scratch on CIFAR: 100 epochs, `optimizer: sgd`, lr 0.1, weight decay 5e-4, batches of 128, `schedule:
cosine`; CIFAR-10 shuffle, p_inv 0.15, weight 1; CIFAR-100 shuffle, p_inv 0.1, weight 5, the head's rate times 0.05
(option `head` of the optimiser). On ImageNet networks 30 epochs at 0.01: Waterbirds gradient, alpha 300 to 30, weight
0.1; CelebA gaussian, alpha 0.1; Aircraft and Cars gradient, alpha 0.1, batches of 32; weight 1. Differs: defaults fit
the small networks here (as `erm`); the rate falls to 0, there to 1e-6. Biases and norms are decayed with `decay_all`.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.losses.outliers import uniform
from shiftbench.plugins.trainers import _attack, _loop, erm
from shiftbench.systems.ascood.trainers import _attribution

TASKS = ("classification",)
JUDGE = "judge"
"""Name of the energy's network while it is trained."""


class Options(declare.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    schedule: fields.Schedule = "one_cycle"
    smoothing: fields.Smoothing = 0.0
    shift: fields.Shift = 1
    flip: fields.Flip = False
    crops: fields.Crops = None
    type: Literal["gradient", "shuffle", "gaussian"] = Field(
        "gradient", description="kind of damage (`_attribution.py`)"
    )
    p_inv: float = Field(0.1, ge=0, le=1, description="share of the inputs or pixels that are damaged")
    alpha_max: float = Field(
        1.0, ge=0, description="strength of the damage before the first epoch, in normalised pixels"
    )
    alpha_min: float = Field(1.0, ge=0, description="strength of the damage in the last epoch, in normalised pixels")
    sign: Literal["+", "-"] = Field("+", description="raise or lower the true class's logit, under `type: gradient`")
    weight: float = Field(1.0, ge=0, description="weight of the loss on damaged images")
    kl: bool = Field(True, description="teach the uniform prediction; false: tell damaged images by their energy")
    attribution: Literal["eval", "train"] = Field("eval", description="mode of the network when gradients are taken")
    mean: fields.Mean = Field([0.5])
    std: fields.Std = Field([0.5])
    start: str = Field("", description="trainer whose checkpoint is the start; empty: fresh weights")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the checkpoint of the same seed that training continues."""
    dataset = params["dataset"]
    inputs = [refs.shards(dataset, split) for split in ("train", "val")]
    if params["start"]:
        inputs.append(refs.checkpoint(dataset, params["model"], params["start"], params["seed"]))
    return inputs


def train(job: TrainJob) -> dict[str, Tensor]:
    """The state dict after the last epoch.

    Raises:
        ParamsError: an option has no such value.
        ModelError: the model is given floats, and its file does not say in which range.
    """
    _attribution.check(job.params)
    model = _initial_model(job)
    if not job.params["kl"]:
        model.add_module(JUDGE, nn.Sequential(nn.Linear(1, 512), nn.ReLU(), nn.Linear(512, 2)))
    loss = Loss(job)
    state = _loop.fit(job, model, loss, loss.begin).state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith(f"{JUDGE}.")}


def _initial_model(job: TrainJob) -> nn.Module:
    model = _loop.fresh_net(job)
    for ref, path in job.inputs.items():
        if ref.kind == "checkpoints":
            nets.load_into(model, nets.read_state(path), path)
    return model


class Loss:
    """The loss of a batch; `begin` starts each epoch.

    Args:
        job: the options.
    """

    def __init__(self, job: TrainJob) -> None:
        self.job, self.params, self.epoch = job, job.params, 0

    def begin(self, model: nn.Module) -> None:
        """Begin the next epoch; they are counted from 1, as the released trainer does."""
        self.epoch += 1
        model.train()

    @property
    def alpha(self) -> float:
        """Strength of the damage in this epoch."""
        params = self.params
        return _attribution.alpha_at(self.epoch, params["epochs"], params["alpha_max"], params["alpha_min"])

    def __call__(self, model: nn.Module, batch: npt.NDArray[Any], labels: Tensor, rng: RandomStream) -> Tensor:
        """The loss of clean and damaged images."""
        params = self.params
        images = erm.move(batch, rng, params["shift"], flip=params["flip"])
        x = _loop.tensor(np.ascontiguousarray(images), model).float()
        ends = [end.to(x.device) for end in _attack.limits(self.job.plugin, batch)]
        scale = _attribution.Scale.of((ends[0], ends[1]), params["mean"], params["std"])
        views = _attribution.damage(model, x, labels, rng, scale, {**params, "alpha": self.alpha})
        clean, outlying = model(torch.cat([x, views.images])).chunk(2)
        clean_loss = cross_entropy(clean, labels, params["smoothing"])
        total: Tensor = clean_loss + params["weight"] * self.outliers(model, clean, outlying)
        return total

    def outliers(self, model: nn.Module, clean: Tensor, outlying: Tensor) -> Tensor:
        """KL(uniform || softmax) of the damaged images, or the loss of energies that separate them from clean ones."""
        if self.params["kl"]:
            return uniform(outlying) - math.log(outlying.shape[1])
        energies = torch.cat([clean, outlying]).logsumexp(1, keepdim=True)
        is_damaged = torch.arange(2, device=clean.device).repeat_interleave(len(clean))
        return cross_entropy(model.get_submodule(JUDGE)(energies), is_damaged)
