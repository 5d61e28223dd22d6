"""No training: a released linear head on the frozen features of a pretrained network, as its authors fitted it.

    trainers:
      released_probe: {use: released_head, path: released/{model}.ckpt, weight: fc.weight, bias: fc.bias}

The file holds two tensors (`weight` (C, d) and `bias` (C,) are their names) and is refused when it holds others, or has
not as many rows as the dataset has classes; the classes are in the dataset's order. The rest is as in `linear_probe`.

Source: none; the probes of COOkeD (glhr/COOkeD, `checkpoints/probes`) are such files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import linear_probe

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "path": "",
    "weight": "fc.weight",
    "bias": "fc.bias",
    "learnt_from": "imagenet",
    "start": "pretrained",
    "same_seed": False,
}


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
