"""Synthesis: one fresh trunk from which a head for each discovered predictor gives that predictor's answers.

    loss = (1 / K) sum_k CE(h_k(f(x)), answer_k(x)) + l2 |parameters|^2

Half of the samples are drawn, with replacement, from those that all K predictors have right or all have wrong, half
from the others, as many as there are in all (`batch_size: 0`; else so many again at each step). The state has the trunk
and, as its head, the mean of the K heads.

`agreement: right` is what the released code has for Camelyon17 (`group_method` old).

Source: Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516, section 4 (synthesis phase); TjuJianyu/RFC,
coloredmnist/run_exp_syn.py, src/dataset/camelyon17_dataset.py.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _environments, _loop, _steps
from shiftbench.systems.rfc_bonsai.trainers import _rounds

TASKS = ("classification",)
AGREEMENTS = ("same", "right")
needs = _rounds.needs


class Options(_environments.Options):
    rounds: list[str] = Field(["round_0", "round_1"], min_length=1, description="trainers of the discovered predictors")
    agreement: Literal["same", "right"] = Field(
        "same", description="samples that agree: all right or all wrong, or all right"
    )
    l2: float = Field(0.0011, ge=0, description="weight of the squared parameters in the loss")
    steps: _steps.Steps = 501
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.0005
    weight_decay: fields.WeightDecay = 0.0


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The trunk's state dict with the mean of the heads; logs the share of each predictor's answers that it gives.

    Raises:
        ParamsError: no such agreement.
        DataError: the predictors agree everywhere, or nowhere.
    """
    envs = _environments.read(job)
    round_answers = _rounds.answers(job, envs)
    answers = torch.from_numpy(np.stack(list(round_answers.values()), axis=1))
    agree = agreeing(_rounds.right(round_answers, envs.labels), job.params["agreement"])
    job.log(0, "agreement", float(agree.mean()))
    model, heads = _model_and_heads(job, len(round_answers))
    update = torch.nn.ModuleList([model, *heads[1:]])
    optimiser = _loop.optimiser(job, update)
    device = next(model.parameters()).device
    for step, rows in enumerate(batches_of_rows(job, agree)):
        if step == 0 or job.params["batch_size"]:
            inputs = nets.to_inputs(envs.inputs[rows], device)
            targets = answers[torch.from_numpy(rows)].to(device)
        update.train()
        features, first = nets.both(model, inputs)
        head_logits = [first, *(head(features) for head in heads[1:])]
        loss = torch.stack([cross_entropy(logits, targets[:, k]) for k, logits in enumerate(head_logits)])
        total = loss.mean() + job.params["l2"] * sum(p.square().sum() for p in update.parameters())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    is_given = torch.stack([logits.argmax(1) == targets[:, k] for k, logits in enumerate(head_logits)], 1)
    for name, share in zip(round_answers, is_given.float().mean(0).tolist(), strict=True):
        job.log(job.params["steps"], f"given_{name}", share)
    return {**model.state_dict(), **mean_head(heads)}


def agreeing(right: NDArray[np.bool_], agreement: str) -> NDArray[np.bool_]:
    """Whether all predictors agree on each sample, (n,), from whether each is right, (K, n).

    Raises:
        ParamsError: no such agreement.
        DataError: all or none of them.
    """
    if agreement not in AGREEMENTS:
        raise ParamsError(f"synthesis: agreement is {agreement!r}; {suggest(agreement, AGREEMENTS)}")
    right_count = right.sum(axis=0)
    agree: NDArray[np.bool_] = right_count == len(right)
    if agreement == "same":
        agree = agree | (right_count == 0)
    if agree.all() or not agree.any():
        raise DataError(
            f"the {len(right)} predictors agree on {'all' if agree.all() else 'no'} samples, so that there is nothing "
            "to balance; let the rounds differ, such as by more steps of discovery"
        )
    return agree


def batches_of_rows(job: TrainJob, agree: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each step: half of them agreeing ones, half others, with replacement."""
    full_batch = not job.params["batch_size"]
    half = (len(agree) if full_batch else job.params["batch_size"]) // 2
    sides = [np.flatnonzero(agree), np.flatnonzero(~agree)]
    for step in range(job.params["steps"]):
        if step == 0 or not full_batch:
            words = RandomStream(job.seed, job.trainer, job.dataset, f"synthesis/{step}")
            rows = np.concatenate([side[words.integers(0, len(side), half)] for side in sides])
        yield rows


def mean_head(heads: Sequence[nn.Module]) -> dict[str, torch.Tensor]:
    """The tensors of a head that is the mean of several, as `head.NAME`."""
    states = [head.state_dict() for head in heads]
    return {f"head.{name}": torch.stack([one[name] for one in states]).mean(0) for name in states[0]}


def _model_and_heads(job: TrainJob, count: int) -> tuple[nn.Module, list[nn.Module]]:
    """A fresh model, and as many heads as there are predictors, of which the first is the model's own."""
    model = _loop.fresh_net(job)
    other_models = [job.plugin.build(job.model_params, len(job.classes)) for _ in range(count - 1)]
    heads = [model.get_submodule("head"), *(other.head for other in other_models)]
    device = nets.pick_device(job.device)
    nets.place(model, device)
    return model, [head.to(device) for head in heads]
