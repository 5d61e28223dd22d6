"""Training of a whole modular network: from nothing, from modules that were put together, or taught by a whole teacher.

Stitches of the checkpoints of `start` (`[pair_0, pair_1, ...]` as MODEL-TRAINER) are dropped where the model has none:
phase 3 of m2mKD, and the assembly of Deep Incubation. Without `start` it is the baseline. `teacher` is ordinary
distillation:

    loss = (1 - alpha) CE(f(x), y) + alpha tau^2 KL(teacher(x) || f(x)),  x, y mixed

A network with a `penalty` (NAC: close signatures) has it on top, times the option. `anew` is for a head of other
classes or positions of another size.

Source: Lo et al., m2mKD, 2024, arXiv:2402.16918, section 3.3, and `main.py --phase FT` of kamanphoebe/m2mKD (100
epochs, no warm-up, clip 1); DeiT's `DistillationLoss` with `distillation_type: soft`. Differs: the rate falls to a
thousandth (there to 1e-5), step by step (there epoch by epoch); class token and positions are decayed.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import rng as words
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import logit_distillation, soft_cross_entropy
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.trainers import _modules, _recipe

TASKS = ("classification",)

uses = _modules.uses


class Options(_modules.Options, _recipe.Options):
    epochs: fields.Epochs = 12
    start: list[str] = Field(
        [], description="checkpoint whose modules it begins with, or one for each module; none: random weights"
    )
    rotate: int = Field(0, ge=0, description="1: module i begins with the blocks of module i + 1, and so on")
    anew: list[str] = Field([], description="tensors that begin with random weights, by the beginning of their names")
    teacher: str = Field("", description="checkpoint whose logits are imitated, too; empty: none")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the distillation in the loss")
    tau: float = Field(1.0, gt=0, description="temperature of the distillation")
    kl_reduction: Literal["numel", "batchmean"] = Field(
        "numel", description="what the divergence is divided by: rows x classes, as released, or rows"
    )
    penalty: float = Field(0.1, ge=0, description="weight of the network's own penalty (NAC: close signatures)")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, the initial checkpoint and the teacher's."""
    names = [*params["start"], *([params["teacher"]] if params["teacher"] else [])]
    return _modules.refs_of(params, *names)


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    start, options = job.params["start"], {k: job.params[k] for k in ("rotate", "anew")}
    model = _modules.assemble(job, start, **options) if start else _modules.fresh(job)
    torch.manual_seed(words.derive(job.seed, job.model, "end to end"))
    teacher = _modules.frozen(job, job.params["teacher"]) if job.params["teacher"] else None
    return dict(whole(job, model, teacher).state_dict())


def whole(job: TrainJob, model: nn.Module, teacher: nn.Module | None = None) -> nn.Module:
    """Train all of a network in place, by the job's recipe, and return it."""
    params = job.params

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        images, targets = _recipe.augment(params, model, batch, labels, len(job.classes), rng)
        logits = model(images)
        value = soft_cross_entropy(logits, targets)
        if hasattr(model, "penalty"):
            value = value + params["penalty"] * model.penalty()  # type: ignore[operator]
        if teacher is None:
            return value
        with torch.no_grad():
            teacher_logits = teacher(images)
        more = logit_distillation(logits, teacher_logits, params["tau"], params["kl_reduction"])
        return (1 - params["alpha"]) * value + params["alpha"] * more  # type: ignore[no-any-return]

    return _loop.fit(job, model, loss, between=_recipe.clipper(params))
