"""No training: the weights that a model's own package, hub or file brings, under our names.

Source: none; where they come from is in the model's file. The weights are named after what they
learnt: `imagenet/efficientnet_lite0-pretrained-s0`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob

READS_SOURCES = True  # the model's own `needs`


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Nothing: the plan adds the inputs of the model."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The model's own state dict.

    Raises:
        ModelError: the model brings no weights, or those of another architecture or number of classes.
    """
    if not hasattr(job.plugin, "pretrained"):
        raise ModelError(f"model {job.model!r} brings no weights of its own; train it (erm, augmix), or use `given`")
    state: nets.State = job.plugin.pretrained(job.model_params, job.inputs)
    file = job.model_params.get("path")
    if not file:
        return fitted(job, state, f"the released checkpoint of {job.model}")
    try:
        return fitted(job, state, Path(file))
    except ModelError as error:
        net = job.model_params.get("net", job.model)
        raise ModelError(
            f"{error}. The architecture is `net: {net}` in params, where `convnet` is the default. Name that of the "
            "file: `net: torchvision` or `net: timm` with `options: {name: NAME}`, or a model plugin of yours"
        ) from None


def fitted(job: TrainJob, state: nets.State, where: Path | str) -> nets.State:
    """A state dict under the names of the job's network, after loading it once.

    Raises:
        ModelError: it is one of another architecture or number of classes.
    """
    if not hasattr(job.plugin, "build"):
        return state
    network = job.plugin.build(job.model_params, len(job.classes))
    state = network.adopt(state) if hasattr(network, "adopt") else state
    nets.load_into(network, state, where)
    return state
