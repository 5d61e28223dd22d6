"""What earlier predictors say of the training samples: the groups and pseudo-labels of RFC."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _environments, _loop
from shiftbench.plugins.trainers._environments import Environments

Answers = dict[str, NDArray[np.int64]]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the train and val shards, and the weights of each trainer in `rounds`, of the same net and seed.

    Raises:
        ParamsError: none, or one named twice.
    """
    rounds = params["rounds"]
    if not rounds or len(set(rounds)) != len(rounds):
        raise ParamsError(f"rounds is {rounds!r}; name the trainers of earlier rounds, each once")
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    who = params["dataset"], params["model"]
    return [*shards, *(refs.checkpoint(*who, name, params["seed"]) for name in rounds)]


def answers(job: TrainJob, envs: Environments) -> Answers:
    """Return what the predictor of each round says of all samples, int64 (n,), in the order of `rounds`."""
    net, found = _loop.fresh_net(job), {}
    nets.place(net, nets.pick_device(job.device))
    everything = np.arange(len(envs.labels))
    given = {CheckpointName.of(ref).trainer: path for ref, path in job.inputs.items() if ref.kind == "checkpoints"}
    for name in job.params["rounds"]:
        path = given[name]
        nets.load_into(net, nets.read_state(path), path)
        found[name] = _environments.answers(net, envs, everything).numpy()
    return found


def right(found: Answers, labels: torch.Tensor) -> NDArray[np.bool_]:
    """Return whether each round's answer is the label, (rounds, n)."""
    return np.stack([one == labels.numpy() for one in found.values()])


def sides(found: Answers, labels: torch.Tensor) -> dict[str, NDArray[np.int64]]:
    """Return the next round's groups: of each earlier one the rows that it has right, and the others."""
    groups = {}
    for name, correct in zip(found, right(found, labels), strict=True):
        groups[f"{name}_right"] = np.flatnonzero(correct)
        groups[f"{name}_wrong"] = np.flatnonzero(~correct)
    return groups
