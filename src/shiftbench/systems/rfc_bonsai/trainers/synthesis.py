"""Synthesis: one fresh trunk from which a head for each discovered predictor gives that predictor's answers.

    loss = (1 / K) sum_k CE(h_k(f(x)), answer_k(x)) + l2 |parameters|^2

Half of the samples are drawn, with replacement, from those that all K predictors have right or all have wrong, half
from the others, as many as there are in all (`batch_size: 0`; else so many anew at each step). The state has the trunk
and, as its head, the mean of the K heads.

`agreement`: `same` (all right, or all wrong), or `right` (all right), as the released code has it for Camelyon17
(`group_method` old).

Source: Zhang, Lopez-Paz and Bottou 2022, arXiv:2203.15516, section 4 (synthesis phase); TjuJianyu/RFC,
coloredmnist/run_exp_syn.py, src/dataset/camelyon17_dataset.py.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _environments, _loop
from shiftbench.systems.rfc_bonsai.trainers import _rounds

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "rounds": ["round_0", "round_1"],
    "agreement": "same",
    "l2": 0.0011,
    "steps": 501,
    "optimizer": "adamw",
    "lr": 0.0005,
    "weight_decay": 0.0,
    **_environments.PARAMS,
}
AGREEMENTS = ("same", "right")
needs = _rounds.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the trunk's state dict with the mean of the heads; logs the share of each predictor's answers it gives.

    Raises:
        ParamsError: no such agreement.
        DataError: the predictors agree everywhere, or nowhere.
    """
    envs = _environments.read(job)
    found = _rounds.answers(job, envs)
    answers = torch.from_numpy(np.stack(list(found.values()), axis=1))
    agree = agreeing(_rounds.right(found, envs.labels), job.params["agreement"])
    job.log(0, "agreement", float(agree.mean()))
    net, heads = _begun(job, len(found))
    update = torch.nn.ModuleList([net, *heads[1:]])
    optimiser = _loop.optimiser(job, update)
    device = next(net.parameters()).device
    for step, rows in enumerate(drawn(job, agree)):
        if step == 0 or job.params["batch_size"]:
            inputs = nets.to_inputs(envs.inputs[rows], device)
            wanted = answers[torch.from_numpy(rows)].to(device)
        update.train()
        features, first = nets.both(net, inputs)
        said = [first, *(head(features) for head in heads[1:])]
        loss = torch.stack([cross_entropy(one, wanted[:, k]) for k, one in enumerate(said)])
        total = loss.mean() + job.params["l2"] * sum(p.square().sum() for p in update.parameters())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    given = torch.stack([one.argmax(1) == wanted[:, k] for k, one in enumerate(said)], 1)
    for name, share in zip(found, given.float().mean(0).tolist(), strict=True):
        job.log(job.params["steps"], f"given_{name}", share)
    return {**net.state_dict(), **mean_head(heads)}


def agreeing(right: NDArray[np.bool_], agreement: str) -> NDArray[np.bool_]:
    """Return which samples (n,) all predictors agree on, from whether each is right, (K, n).

    Raises:
        ParamsError: no such agreement.
        DataError: all or none of them.
    """
    if agreement not in AGREEMENTS:
        raise ParamsError(f"synthesis: agreement is {agreement!r}; {suggest(agreement, AGREEMENTS)}")
    sure = right.sum(axis=0)
    found: NDArray[np.bool_] = sure == len(right)
    if agreement == "same":
        found = found | (sure == 0)
    if found.all() or not found.any():
        raise DataError(
            f"the {len(right)} predictors agree on {'all' if found.all() else 'no'} samples, so that there is nothing "
            "to balance; let the rounds differ, such as by more steps of discovery"
        )
    return found


def drawn(job: TrainJob, agree: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each step: half of them agreeing ones, half others, with replacement."""
    whole = not job.params["batch_size"]
    half = (len(agree) if whole else job.params["batch_size"]) // 2
    sides = [np.flatnonzero(agree), np.flatnonzero(~agree)]
    for step in range(job.params["steps"]):
        if step == 0 or not whole:
            words = RandomStream(job.seed, job.trainer, job.dataset, f"synthesis/{step}")
            rows = np.concatenate([side[words.integers(0, len(side), half)] for side in sides])
        yield rows


def mean_head(heads: Sequence[nn.Module]) -> dict[str, torch.Tensor]:
    """Return the tensors of a head that is the mean of several, as `head.NAME`."""
    states = [head.state_dict() for head in heads]
    return {f"head.{name}": torch.stack([one[name] for one in states]).mean(0) for name in states[0]}


def _begun(job: TrainJob, count: int) -> tuple[nn.Module, list[nn.Module]]:
    """Return a fresh net, and as many heads as there are predictors, of which the first is the net's own."""
    net = _loop.fresh_net(job)
    others = [job.plugin.build(job.model_params, len(job.classes)) for _ in range(count - 1)]
    heads = [net.get_submodule("head"), *(other.head for other in others)]
    device = nets.pick_device(job.device)
    nets.place(net, device)
    return net, [head.to(device) for head in heads]
