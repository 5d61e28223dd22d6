"""A classifier from class names alone: the head is the text tower's directions, times the scale of cosines.

    logits = scale * u T',  u = v / ||v||,  rows of T = directions of `a photo of a <name>`

With a set of prompts, a row of T is the direction of the mean of its prompts' directions.

Source: Radford et al., ICML 2021 (CLIP), section 3.1; the prompt, without a full stop, as in COOkeD (2025,
https://arxiv.org/abs/2507.22576); COOkeD fixes the scale at 100 for CLIP. The curated names are those of ImageNet's
classes, in which two names stand for two classes each.

The checkpoint is from another training; public ones are of seed 0. Labels are not read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _pairs, _templates
from shiftbench.plugins.trainers import linear_probe

TITLE = "zero-shot"
TASKS = ("classification",)
NAMES = ("classes", "curated")
READS_SOURCES = True  # the text tower's


class Options(declare.Options):
    learnt_from: linear_probe.LearntFrom = "fashion_mnist"
    start: linear_probe.Start = "contrastive"
    same_seed: linear_probe.SameSeed = True
    template: str = Field(
        "a photo of a {}", description="prompt, with {} for the class name, or the set of prompts `imagenet_80`"
    )
    scale: float = Field(0.0, ge=0, description="factor of the cosines; 0: the one that the network learned")
    names: Literal["classes", "curated"] = Field(
        "classes", description="names of the data set's classes, or those that the model's authors curated"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights of the dual encoder."""
    seed = params["seed"] if params["same_seed"] else 0
    return [refs.checkpoint(params["learnt_from"], params["model"], params["start"], seed)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The dual encoder's state dict under a head made of names."""
    if job.params["names"] not in NAMES:
        raise ParamsError(f"zero_shot: names is {job.params['names']!r}; {suggest(job.params['names'], NAMES)}")
    if not hasattr(job.plugin, "texts"):
        raise ModelError(f"model {job.model!r} has no text tower (`texts`); take dual_encoder")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    network: Any = job.plugin.build(job.model_params, len(nets.classes_of(start)))
    nets.load_into(network, nets.read_state(start), start)
    classes = job.classes if job.params["names"] == "classes" else job.plugin.curated(job.classes)
    with torch.inference_mode():
        text_vectors = _text_vectors(job, network.eval(), classes)
    scale = job.params["scale"] or network.scale.item()
    job.log(0, "scale", scale)
    return _pairs.from_texts(nets.read_state(start), text_vectors, scale, unit=True)


def _text_vectors(job: TrainJob, network: Any, classes: Sequence[str]) -> torch.Tensor:
    """The text tower's vectors of the names, (classes, d): of one prompt, or means of directions of several."""
    each: list[torch.Tensor] = [
        job.plugin.texts(network, _pairs.prompts(classes, template), job.model_params, job.inputs)
        for template in _templates.of(job.params["template"])
    ]
    if len(each) == 1:
        return each[0]
    return torch.stack([F.normalize(one, dim=1) for one in each]).mean(0)
