"""A classifier from class names alone: the head is the text tower's directions, times the scale of cosines.

    logits = scale * u T',  u = v / ||v||,  rows of T = directions of `a photo of a <name>`

`template` is one prompt, or a set of prompts (`imagenet_80`): then a row of T is the direction of the mean of its
prompts' directions.

Source: Radford et al., ICML 2021 (CLIP), section 3.1; the prompt, without a full stop, as in COOkeD (2025,
https://arxiv.org/abs/2507.22576). `scale: 0` is the one that the network learned; COOkeD fixes it at 100 for CLIP.
`names: curated` takes the names that the model's authors curated (ImageNet's classes, in which two names stand for two
each).

Starts from weights that learnt elsewhere (`learnt_from`, `start`): of the same seed, or of seed 0 where they are
public ones (`same_seed: false`). Labels are not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _pairs, _templates

TITLE = "zero-shot"
TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "learnt_from": "fashion_mnist",
    "start": "contrastive",
    "same_seed": True,
    "template": "a photo of a {}",
    "scale": 0.0,
    "names": "classes",
}
NAMES = ("classes", "curated")
READS_SOURCES = True  # the text tower's


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
        text_vectors = _told(job, network.eval(), classes)
    scale = job.params["scale"] or network.scale.item()
    job.log(0, "scale", scale)
    return _pairs.from_texts(nets.read_state(start), text_vectors, scale, unit=True)


def _told(job: TrainJob, network: Any, classes: Sequence[str]) -> torch.Tensor:
    """The text tower's vectors of the names, (classes, d): of one prompt, or means of directions of several."""
    each: list[torch.Tensor] = [
        job.plugin.texts(network, _pairs.prompts(classes, template), job.model_params, job.inputs)
        for template in _templates.of(job.params["template"])
    ]
    if len(each) == 1:
        return each[0]
    return torch.stack([F.normalize(one, dim=1) for one in each]).mean(0)
