"""m2mKD: each module of a student imitates a module of the teacher while both sit in the same frozen meta network.

For each pair i, on its own, on mixed x and y:

    h = M_i-1 (... M_1 (x)), no gradient
    z_T = M_L (... M_i+1 (T_i (h))), no gradient
    z_S = M_L (... M_i+1 (R_i (S_i (E_i (h))))), gradient through the frozen tail
    loss = (1 - alpha) CE(z_S, y) + alpha tau^2 KL(softmax(z_T / tau) || softmax(z_S / tau))

E and R are the stitches of the student (model option `stitch`: the meta's width); the first pair has no E, the last one
no R and no tail. With `teaches: shifted` the teacher's module at position i has the blocks of i - 1 (of the last one at
the first), while embedding, norm and head stay where they belong. `only` is for pairs in parallel. Where images are not
mixed, the outputs of the frozen networks are kept from epoch to epoch.

Weights hold the whole student with its stitches. Students see the meta's tokens, not those of their neighbours to be:
before `end_to_end` (`start`) the network that they make up is near chance.

Source: Lo et al., "m2mKD: Module-to-Module Knowledge Distillation for Modular Transformers", 2024, arXiv:2402.16918,
section 3.2; `m2mKDLoss` in `losses.py` of kamanphoebe/m2mKD at 067fa1f, alpha 0.5, tau 1, 100 epochs.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import logit_distillation, soft_cross_entropy
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.trainers import _modules, _recipe
from shiftbench.systems.m2mkd.trainers.deep_incubation import run_before, run_behind

TASKS = ("classification",)
TEACHES = ("aligned", "shifted")

uses = _modules.uses


class Options(_modules.Options, _recipe.Options):
    epochs: fields.Epochs = 12
    meta: str = Field("meta-end_to_end", description="checkpoint of the meta network")
    teacher: str = Field("teacher-deep_incubation", description="checkpoint of the teacher")
    teaches: Literal["aligned", "shifted"] = Field(
        "aligned", description="module that teaches at position i: i, or the one before it, a control"
    )
    only: int | None = Field(None, ge=0, description="number of the module that is trained, from 0; null: all")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the distillation in the loss")
    tau: float = Field(1.0, gt=0, description="temperature of the distillation")
    kl_reduction: Literal["numel", "batchmean"] = Field(
        "numel", description="what the divergence is divided by: rows x classes, as released, or rows"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards and the checkpoints of meta network and teacher."""
    return _modules.refs_of(params, params["meta"], params["teacher"])


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the student, stitches included.

    Raises:
        ParamsError: the networks are not cut into as many modules, or `teaches` is neither of its values.
    """
    if job.params["teaches"] not in TEACHES:
        raise ParamsError(f"teaches is {job.params['teaches']!r}; {suggest(job.params['teaches'], TEACHES)}")
    job = _modules.decode_once(job)
    student: Any = _loop.fresh_net(job)
    meta, teacher = (_modules.frozen(job, job.params[name]) for name in ("meta", "teacher"))
    modules = _modules.module_count(student, meta, teacher)
    for pair in _modules.chosen(job, modules):
        teach(job, student, meta, teacher, pair)
    return dict(student.state_dict())


def teach(job: TrainJob, student: Any, meta: Any, teacher: Any, pair: int) -> None:
    """Train one module of the student in place, its stitches with it."""
    params = job.params
    source = (pair - (params["teaches"] == "shifted")) % len(meta.depths)

    @torch.no_grad()
    def frozen(images: torch.Tensor) -> _modules.Rows:
        tokens = run_before(meta, images, pair)
        return tokens, run_behind(meta, teacher.through(tokens, source, pair), pair)

    def student_logits(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            tokens = run_before(meta, images, pair)
        return run_behind(meta, student.run(tokens, pair, pair + 1), pair)

    memo = _modules.Memo(frozen, reuse=_recipe.is_identity(params))

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        images, targets = _recipe.augment(params, model, batch, labels, len(job.classes), rng)
        tokens, teacher_logits = memo(batch, images)
        logits = run_behind(meta, student.run(tokens, pair, pair + 1), pair)
        return combine(params, logits, teacher_logits, targets)

    _modules.fit(job, student, pair, loss, student_logits, between=_recipe.clipper(params))


def combine(
    params: Mapping[str, Any], logits: torch.Tensor, teacher_logits: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """(1 - alpha) x soft cross-entropy + alpha x divergence from the teacher."""
    alpha = params["alpha"]
    more = logit_distillation(logits, teacher_logits, params["tau"], params["kl_reduction"])
    return (1 - alpha) * soft_cross_entropy(logits, targets) + alpha * more  # type: ignore[no-any-return]
