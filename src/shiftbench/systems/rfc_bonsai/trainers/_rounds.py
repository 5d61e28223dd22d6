"""Answers of earlier predictors for the training samples: the groups and pseudo-labels of RFC."""

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
    """The train and val shards, and the checkpoint of each trainer in `rounds`, of the same model and seed.

    Raises:
        ParamsError: none, or one named twice.
    """
    rounds = params["rounds"]
    if not rounds or len(set(rounds)) != len(rounds):
        raise ParamsError(f"rounds is {rounds!r}; name the trainers of earlier rounds, each once")
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    model = params["dataset"], params["model"]
    return [*shards, *(refs.checkpoint(*model, name, params["seed"]) for name in rounds)]


def answers(job: TrainJob, envs: Environments) -> Answers:
    """Answers of each round's predictor for all samples, int64 (n,), in the order of `rounds`."""
    model, answers_of_round = _loop.fresh_net(job), {}
    nets.place(model, nets.pick_device(job.device))
    all_rows = np.arange(len(envs.labels))
    checkpoints = {
        CheckpointName.of(ref).trainer: path for ref, path in job.inputs.items() if ref.kind == "checkpoints"
    }
    for name in job.params["rounds"]:
        path = checkpoints[name]
        nets.load_into(model, nets.read_state(path), path)
        answers_of_round[name] = _environments.answers(model, envs, all_rows).numpy()
    return answers_of_round


def right(answers: Answers, labels: torch.Tensor) -> NDArray[np.bool_]:
    """Whether each round's answer is the label, (rounds, n)."""
    return np.stack([round_answers == labels.numpy() for round_answers in answers.values()])


def sides(answers: Answers, labels: torch.Tensor) -> dict[str, NDArray[np.int64]]:
    """The next round's groups: of each earlier one the rows that it has right, and the others."""
    groups = {}
    for name, correct in zip(answers, right(answers, labels), strict=True):
        groups[f"{name}_right"] = np.flatnonzero(correct)
        groups[f"{name}_wrong"] = np.flatnonzero(~correct)
    return groups
