"""No training: a released linear head on the frozen features of a pretrained network, as its authors fitted it.

    trainers:
      released_probe: {use: released_head, path: released/{model}.ckpt, weight: fc.weight, bias: fc.bias}

A file with other tensors, or with another number of rows than the dataset has classes, is an error. The classes are in
the dataset's order. The rest is as in `linear_probe`.

Source: none; the probes of COOkeD (glhr/COOkeD, `checkpoints/probes`) are such files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import linear_probe

TASKS = ("classification",)


class Options(declare.Options):
    path: str = Field("", description="file with the head's two tensors")
    weight: str = Field("fc.weight", description="name of the tensor of weights, (classes, features)")
    bias: str = Field("fc.bias", description="name of the tensor of biases, (classes,)")
    learnt_from: linear_probe.LearntFrom = "imagenet"
    start: linear_probe.Start = "pretrained"
    same_seed: linear_probe.SameSeed = False


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The weights of the network."""
    return [linear_probe.start_of(params)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The network's state dict under the released head."""
    file = Path(job.params["path"])
    tensors = nets.read_state(file)
    names = [job.params["weight"], job.params["bias"]]
    if set(tensors) != set(names):
        raise ModelError(
            f"{file} holds {', '.join(sorted(tensors)[:4])}; expected {' and '.join(names)}: name the head's tensors "
            "(`weight`, `bias`)"
        )
    weight, bias = (tensors[name] for name in names)
    if len(weight) != len(job.classes):
        raise ModelError(
            f"{file} has {len(weight)} classes, and {job.dataset} has {len(job.classes)}; bring the head of this one"
        )
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    state = nets.with_head(job.plugin, nets.read_state(start), weight, bias)
    network = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(network, state, file)
    return state
