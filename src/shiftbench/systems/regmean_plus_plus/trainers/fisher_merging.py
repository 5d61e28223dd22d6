"""Merging by a mean in which each parameter counts by its diagonal Fisher information.

Source: Matena and Raffel, "Merging Models with Fisher-Weighted Averaging", NeurIPS 2022, equations 4 and 5. The Fisher
information of a model is estimated on a few samples of its task: with g_c the gradient of sqrt(p_c) log p_c, p_c held
fixed, over the classes c of the task, `squares` says of what the square is added up, over the number of samples:

- `class`: sum_c g_c^2 of each sample: the definition, the expectation of squared gradients over labels from p;
- `sample`: (sum_c g_c)^2 of each sample, which adds the products of two classes to it, at a gradient for each sample;
- `batch`: the square of the sum over `batch_size` samples: the code of RegMean++ and FusionBench, with products of two
  samples, too.

Nets count by 1 / norm of their Fisher information (`balanced`), as in that code, where 1e-6 is added to every entry.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _merging, _tasks

TASKS = ("classification", "text_classification")
needs = _merging.needs
SMALL = 1e-6
SQUARES = ("class", "sample", "batch")
AT_ONCE = 32
"""Samples whose gradients are computed together."""


class Options(_merging.Options):
    calibrate_on: _merging.CalibrateOn = ""
    samples: _merging.Samples = 256
    one_class: _merging.OneClass = False
    squares: Literal["class", "sample", "batch"] = Field(
        "sample", description="sum of gradients that is squared: of a class, a sample or a batch"
    )
    batch_size: fields.BatchSize = 32
    balanced: bool = Field(True, description="weigh each model by 1 / norm of its Fisher information")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The merged state dict.

    Raises:
        ParamsError: `squares` is unknown.
    """
    params = job.params
    if params["squares"] not in SQUARES:
        hint = suggest(params["squares"], SQUARES)
        raise ParamsError(f"fisher_merging: squares is {params['squares']!r}; {hint}")
    _, states = _merging.weights(job)
    fishers = []
    for task, samples in _merging.calibration(job).items():
        batch = torch.from_numpy(nets.prepare(job.plugin, samples, job.model_params))
        model = _merging.model_of(job, states[task])
        heads = sorted({_tasks.head(s) for s in samples}) if samples[0].fields.get("meta") else []
        span = (heads[0][0], heads[-1][1]) if heads else (0, len(job.classes))
        fishers.append(fisher(model, batch, span, params["squares"], params["batch_size"]))

    def combine(start: State, candidates: list[State]) -> State:
        return weighted(candidates, fishers, balanced=params["balanced"])

    return _merging.merge(job, combine)


def fisher(model: nn.Module, inputs: torch.Tensor, head: tuple[int, int], squares: str, batch_size: int = 32) -> State:
    """The diagonal Fisher information of a model's trunk, float64.

    Args:
        model: with a head of all tasks.
        inputs: prepared samples.
        head: first class of the task, and the one after the last.
        squares: one of SQUARES.
        batch_size: of `batch`.
    """
    trunk = {n: p.detach() for n, p in model.named_parameters() if not n.startswith("head.")}
    total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in trunk.items()}
    size = batch_size if squares == "batch" else AT_ONCE
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernel cannot be batched over samples
        for part in inputs.float().split(size):
            for gradients in _gradients(model, trunk, part, head, squares):
                for name, value in gradients.items():
                    total[name] += value.double().square().sum(0)
    return {name: value / len(inputs) for name, value in total.items()}


def _gradients(
    model: nn.Module, trunk: State, part: torch.Tensor, head: tuple[int, int], squares: str
) -> Iterator[State]:
    """Yield gradients whose squares are added up: each tensor (k, ...), k of them."""

    def value(parameters: State, batch: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        logits = functional_call(model, parameters, (batch,))[:, head[0] : head[1]]
        logs = torch.log_softmax(logits, 1)
        return (logs.detach().exp().sqrt() * logs * classes).sum()

    count = head[1] - head[0]
    each = vmap(grad(value), in_dims=(None, 0, None))
    if squares == "batch":
        yield each(trunk, part[None], torch.ones(count))
    elif squares == "sample":
        yield each(trunk, part[:, None], torch.ones(count))
    else:
        for one_hot in torch.eye(count):
            yield each(trunk, part[:, None], one_hot)


def weighted(states: Sequence[State], fishers: Sequence[State], *, balanced: bool) -> State:
    """sum_i w_i F_i W_i / sum_i w_i F_i per parameter; F gets 1e-6 added."""
    norms = torch.stack([_merging.flatten(state).norm() + SMALL for state in fishers])
    shares = (1 / norms) / (1 / norms).sum() if balanced else torch.ones(len(fishers))
    merged_tensors = {}
    for name in fishers[0]:
        values = torch.stack([state[name].double() for state in states])
        fisher_values = torch.stack([state[name] + SMALL for state in fishers])
        weights = fisher_values * shares.view(-1, *[1] * (fisher_values.ndim - 1))
        merged = (weights * values).sum(0) / weights.sum(0)
        merged_tensors[name] = merged.to(states[0][name].dtype)
    return {**states[0], **merged_tensors}
