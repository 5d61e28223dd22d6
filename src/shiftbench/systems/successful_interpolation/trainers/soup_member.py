"""No training: a CLIP that others fine-tuned, a released checkpoint of model-soups, under the names of `open_clip`.

    trainers:
      soup: {use: soup_member, path: "data/own/model_soups/model_{seed}.pt", start: zero_shot}

Such a file holds the image tower below `model.`, without text transformer, and `classification_head`, which takes
directions; with or without `module.` before all names. The text tower and everything else are those of `start`, so
that two members differ in image tower and head alone, and a mixture is one of these.

Member 0 is the model that members 1 to 71 were fine-tuned from: a linear probe on CLIP's tower, not the zero-shot head
(`hparam_info.json`: "LP initialization"). Paths to the members therefore begin at member 0 (`soup-s0`).

Source: Wortsman et al., "Model soups", ICML 2022; `utils.py` of mlfoundations/model-soups, whose release v0.0.2 has
model_0.pt to model_71.pt, ViT-B/32 on ImageNet; v0.0.3 has a zero-shot ViT-L/14 and the model tuned from it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob

TASKS = ("classification",)
TOWER, HEAD = "model.", "classification_head."
IMAGE = "clip.visual."
"""The part of the tower that is used; its text side has no use without its transformer, which the files lack."""


class Options(declare.Options):
    path: str = Field("", description="file of a member; `{seed}` is replaced by its number")
    start: str = Field("zero_shot", description="trainer of the checkpoint with all other tensors, of seed 0")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The fine-tuned checkpoints."""
    return [refs.checkpoint(params["dataset"], params["model"], params["start"], 0)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the member.

    Raises:
        ModelError: the file is missing, holds other tensors, or does not fit the model.
    """
    file = Path(str(job.params["path"]).format(seed=job.seed))
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    state = adopted(nets.read_state(file), nets.read_state(start), file)
    model = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(model, state, file)
    return state


def adopted(member: State, start: State, file: Path) -> State:
    """The start with the image tower and the head of a member.

    Raises:
        ModelError: the file lacks a head or a tensor of the image tower.
    """
    member = {name.removeprefix("module."): tensor.float() for name, tensor in member.items()}
    parts = [name for name in start if name.startswith((IMAGE, "head."))]
    names = {name: _released(name) for name in parts}
    missing = [source for source in names.values() if source not in member]
    if missing:
        raise ModelError(
            f"{file} has no {missing[0]}; expected a checkpoint of model-soups: {TOWER}visual.* and {HEAD}weight, "
            f"{HEAD}bias"
        )
    merged = {**start, **{name: member[source] for name, source in names.items()}}
    return {**merged, "unit": torch.ones(())}


def _released(name: str) -> str:
    if name.startswith("head."):
        return HEAD + name.removeprefix("head.")
    return TOWER + name.removeprefix("clip.")
