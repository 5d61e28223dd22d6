"""Merging by a mean in which each parameter counts by its diagonal Fisher information.

Source: Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", NeurIPS 2022, equation 4. The Fisher
information of a net is estimated on a few samples of its task, as the mean of squared gradients of sum_c sqrt(p_c)
log p_c, p held fixed, over the classes of the task. Nets count by 1 / norm of their Fisher information (`balanced`),
as in RegMean's code. That code squares the gradient of a sum over a batch (`per_sample: false`, `batch_size`); here
each sample's gradient is squared, as the definition says.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from shiftbench.contracts import TrainJob
from shiftbench.inference import nets
from shiftbench.inference.nets import State
from shiftbench.systems.regmean_plus_plus.trainers import _merging, _tasks

PARAMS: dict[str, object] = {
    **_merging.CALIBRATED,
    "per_sample": True,
    "batch_size": 32,
    "balanced": True,
}
needs = _merging.needs
SMALL = 1e-6


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the merged state dict."""
    _, states = _merging.weights(job)
    found = []
    for task, samples in _merging.calibration(job).items():
        batch = torch.from_numpy(nets.prepare(job.plugin, samples, job.model_params))
        net = _merging.net_of(job, states[task])
        heads = sorted({_tasks.head(s) for s in samples}) if samples[0].fields.get("meta") else []
        span = (heads[0][0], heads[-1][1]) if heads else (0, len(job.classes))
        size = 1 if job.params["per_sample"] else job.params["batch_size"]
        found.append(fisher(net, batch, span, size))

    def combine(start: State, candidates: list[State]) -> State:
        return weighted(candidates, found, balanced=job.params["balanced"])

    return _merging.merge(job, combine)


def fisher(net: nn.Module, inputs: torch.Tensor, head: tuple[int, int], size: int) -> State:
    """Return the diagonal Fisher information of a net's trunk, from gradients of sums over `size` samples.

    Args:
        net: with a head of all tasks.
        inputs: prepared samples.
        head: first class of the task, and the one after the last.
        size: 1: the definition; more: the square of sums.
    """
    learnt = {n: p.detach() for n, p in net.named_parameters() if not n.startswith("head.")}

    def value(parameters: State, batch: torch.Tensor) -> torch.Tensor:
        logits = functional_call(net, parameters, (batch,))[:, head[0] : head[1]]
        logs = torch.log_softmax(logits, 1)
        return (logs.detach().exp().sqrt() * logs).sum()

    each = vmap(grad(value), in_dims=(None, 0), chunk_size=32)
    whole = inputs.float()[: max(1, len(inputs) // size) * size]
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel cannot be batched over samples
        gradients = each(learnt, whole.reshape(-1, min(size, len(whole)), *inputs.shape[1:]))
    return {name: value.double().square().mean(0) for name, value in gradients.items()}


def weighted(states: list[State], fishers: list[State], *, balanced: bool) -> State:
    """Return sum_i w_i F_i W_i / sum_i w_i F_i per parameter; F gets 1e-6 added."""
    norms = torch.stack([_merging.flatten(one).norm() + SMALL for one in fishers])
    shares = (1 / norms) / (1 / norms).sum() if balanced else torch.ones(len(fishers))
    weights = torch.stack([_merging.flatten(one) + SMALL for one in fishers]) * shares[:, None]
    values = torch.stack([_merging.flatten(state) for state in states])
    return _merging.unflatten((weights * values).sum(0) / weights.sum(0), states[0])
