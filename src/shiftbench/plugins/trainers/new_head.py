"""No training: a pretrained network with a fresh head for the classes of a dataset, from which fine-tuning starts.

Source: how classifiers are usually fine-tuned (Yosinski et al., "How transferable are features in deep neural
networks?", NeurIPS 2014, section 2); `linear_probe` starts from a solved head instead, which moves features less
(Kumar et al., ICLR 2022). The head's initial weights depend on seed and model only.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, linear_probe


class Options(declare.Options):
    learnt_from: linear_probe.LearntFrom = "imagenet"
    start: linear_probe.Start = "pretrained"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The pretrained weights."""
    return [refs.checkpoint(params["learnt_from"], params["model"], params["start"], 0)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The pretrained state dict with the head of a fresh network."""
    if not hasattr(job.plugin, "build"):
        raise ModelError(f"model {job.model!r} is a black box; its head cannot be made anew")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    network = _loop.fresh_net(job)
    head = {name: value for name, value in network.state_dict().items() if name.startswith("head.")}
    state = {**nets.read_state(start), **head}
    nets.load_into(network, state, start)
    return state
