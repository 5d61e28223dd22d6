"""Training of a whole modular network: from nothing, from modules that were put together, or taught by a whole teacher.

`start` names the weights whose modules it begins with: one for all, or one for each module (`[pair_0, pair_1, ...]` as
MODEL-TRAINER). Their stitches are dropped where the model has none: phase 3 of m2mKD, and the assembly of Deep
Incubation. Without `start` it is the baseline. `rotate: 1` puts the blocks of module i where those of i + 1 belong.
`teacher` is a network whose logits are imitated as well, ordinary distillation:

    loss = (1 - alpha) CE(f(x), y) + alpha tau^2 KL(teacher(x) || f(x)),  x, y mixed

A network with a `penalty` (NAC: close signatures) has it on top, times the option. `anew`: tensors that are not taken
over, by the beginning of their names (a head of other classes, positions of another size).

Source: Lo et al., m2mKD, 2024, arXiv:2402.16918, section 3.3, and `main.py --phase FT` of kamanphoebe/m2mKD (100
epochs, no warm-up, clip 1); DeiT's `DistillationLoss` with `distillation_type: soft`. Differs: the rate falls to a
thousandth (there to 1e-5), step by step (there epoch by epoch); class token and positions are decayed.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from shiftbench.base import registry
from shiftbench.base import rng as words
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import logit_distillation, soft_cross_entropy
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.trainers import _modules, _recipe

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    **registry.defaults(_recipe),
    **registry.defaults(_modules),
    "epochs": 12,
    "start": [],
    "rotate": 0,
    "anew": [],
    "teacher": "",
    "alpha": 0.5,
    "tau": 1.0,
    "kl_reduction": "numel",
    "penalty": 0.1,
}

uses = _modules.uses


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
