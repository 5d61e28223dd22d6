"""Deep Incubation: a deep network trained module by module inside a small meta network, then as a whole.

1. `meta` is trained before: a network of as many, shallower modules (`end_to_end`).
2. For each i, on its own: module i of the deep network stands in place of that of the meta network and learns; modules
   before it need no gradient, those behind it pass it on and stay.
3. Put together, the modules are fine-tuned.

With `only` the network is returned untuned, so that modules may be trained apart and `end_to_end` (`start`) puts them
together. A module begins with random weights, embedding and head included.

Source: Ni et al., "Deep Incubation: Training Large Models by Divide-and-Conquering", ICCV 2023, arXiv:2212.04129,
section 3; phases MT and FT of `main.py` in LeapLabTHU/Deep-Incubation, as vendored by kamanphoebe/m2mKD.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import rng as words
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import soft_cross_entropy
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.m2mkd.trainers import _modules, _recipe, end_to_end

TASKS = ("classification",)

uses = _modules.uses


class Options(_modules.Options, _recipe.Options):
    meta: str = Field("meta-end_to_end", description="checkpoint of the meta network")
    only: int | None = Field(None, ge=0, description="number of the module that is trained, from 0; null: all")
    incubate: int = Field(6, ge=1, description="passes over the training samples for each module")
    epochs: int = Field(
        6, ge=1, description="passes over the training samples for the fine-tuning of the whole network"
    )
    fine_lr: float = Field(0.002, ge=0, description="learning rate of the fine-tuning, which has no warm-up")
    fine_clip: float = Field(1.0, ge=0, description="largest norm of all gradients in the fine-tuning; 0: no bound")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards and the checkpoint of the meta network."""
    return _modules.refs_of(params, params["meta"])


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the fine-tuned network, or of one with a single trained module.

    Raises:
        ParamsError: meta and network are not cut into as many modules.
    """
    job = _modules.decode_once(job)
    model: Any = _loop.fresh_net(job)
    meta = _modules.frozen(job, job.params["meta"])
    for module in _modules.chosen(job, _modules.module_count(model, meta)):
        incubate(job, model, meta, module)
    if job.params["only"] is not None:
        return dict(model.state_dict())
    fine = {"lr": job.params["fine_lr"], "clip": job.params["fine_clip"], "warmup": 0.0}
    torch.manual_seed(words.derive(job.seed, job.model, "fine"))
    end_to_end.whole(replace(job, params={**job.params, **fine}), model)
    return dict(model.state_dict())


def incubate(job: TrainJob, model: Any, meta: Any, module: int) -> None:
    """Train one module of a network in place, inside the meta network."""
    own = replace(job, params={**job.params, "epochs": job.params["incubate"]})

    @torch.no_grad()
    def frozen(images: torch.Tensor) -> _modules.Rows:
        return (run_before(meta, images, module),)

    def hybrid(images: torch.Tensor) -> torch.Tensor:
        return run_behind(meta, model.run(*frozen(images), module, module + 1), module)

    memo = _modules.Memo(frozen, reuse=_recipe.is_identity(job.params))

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        images, targets = _recipe.augment(job.params, model, batch, labels, len(job.classes), rng)
        (tokens,) = memo(batch, images)
        logits = run_behind(meta, model.run(tokens, module, module + 1), module)  # type: ignore[operator]
        return soft_cross_entropy(logits, targets)

    between = _recipe.clipper(job.params)
    _modules.fit(own, model, module, loss, hybrid, between=between)


def run_before(meta: Any, images: torch.Tensor, module: int) -> torch.Tensor:
    """Output of the meta network's modules before one; the images themselves before the first."""
    tokens: torch.Tensor = meta.run(images, 0, module) if module else images
    return tokens


def run_behind(meta: Any, x: torch.Tensor, module: int) -> torch.Tensor:
    """Output of the meta network's modules after one for its tokens; logits of the last one stay."""
    modules = len(meta.depths)
    output: torch.Tensor = meta.run(x, module + 1, modules) if module + 1 < modules else x
    return output
