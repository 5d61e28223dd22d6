"""RegMean and RegMean++: each linear layer of the merged model by least squares over the candidates' inputs.

    G = X^T X / tokens,  G~ = a G + (1 - a) diag(G),  W_M^T = (sum_i G~_i)^-1 sum_i G~_i W_i^T

A model has `embed(x)`, `blocks`, `norm` and `head` (docs/extending.md, models). Only linear layers in blocks are solved
for, which are all linear layers of a CLIP tower. Everything else is the mean over models. The two methods differ in the
input of a block: the output of the candidate's own blocks before it (RegMean), or of the merged ones (RegMean++).

Differs from both codes: linear systems are solved by Cholesky in float64, with a ridge of 1e-6 if the matrix is
singular, instead of by an inverse in float32.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _merging

TASKS = ("classification", "text_classification")
needs = _merging.needs
RIDGE = 1e-6
SINGULAR = 1e12
"""Condition number from which on a ridge is added before solving."""
OUTSIDE = ("average", "pretrained")

Log = Callable[[int, str, float], None]


class Options(_merging.Options):
    calibrate_on: _merging.CalibrateOn = ""
    samples: _merging.Samples = 256
    one_class: _merging.OneClass = False
    merged_inputs: bool = Field(
        False, description="input of a block: from the merged blocks before it (RegMean++), or the candidate's own"
    )
    shrink: float = Field(0.95, ge=0, le=1, description="factor a of the Gram matrices' entries off the diagonal")
    outside: Literal["average", "pretrained"] = Field(
        "average", description="tensors that are not solved for: mean of the candidates, or the start's"
    )
    blocks: list[int] = Field([], description="numbers of the blocks that are solved for; []: all")
    layers: list[str] = Field([], description="layers of a block that are solved for; []: all")
    batch_size: int = Field(32, ge=1, description="samples that pass through a block at a time")


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a walk.

    Attributes:
        shrink: `a`, the factor of off-diagonal entries of Gram matrices.
        merged_inputs: feed a block with what the merged blocks before give (RegMean++), else the candidate's own.
        blocks: numbers of the blocks whose linear layers are solved for; none: all.
        layers: parts of names of the linear layers that are solved for; none: all.
        batch_size: samples per forward pass.
        log: gets (block, quantity, value).
    """

    shrink: float
    merged_inputs: bool
    blocks: Sequence[int] = ()
    layers: Sequence[str] = ()
    batch_size: int = 32
    log: Log = lambda *_: None

    def solves(self, block: int, layer: str) -> bool:
        """Whether a linear layer is solved for."""
        is_layer_chosen = not self.layers or any(part in layer for part in self.layers)
        return is_layer_chosen and (not self.blocks or block in self.blocks)


def train(job: TrainJob) -> State:
    """The state dict that RegMean or RegMean++ merges a job's candidates into.

    Raises:
        ParamsError: `outside` is unknown.
        ModelError: the model has no blocks.
    """
    params: Mapping[str, Any] = job.params
    if params["outside"] not in OUTSIDE:
        raise ParamsError(f"outside is {params['outside']!r}; {suggest(params['outside'], OUTSIDE)}")
    start, states = _merging.weights(job)
    candidates = [_merging.model_of(job, state) for state in states.values()]
    if not hasattr(candidates[0], "blocks"):
        raise ModelError(f"model {job.model!r} has no blocks to walk through; use vit, clip_vision")
    state = {**start, **_merging.mean([_merging.trunk(candidate) for candidate in states.values()])}
    if params["outside"] == "pretrained":
        state |= {name: value for name, value in start.items() if name.startswith("norm.")}
    merged = _merging.model_of(job, state)
    inputs = [
        torch.from_numpy(nets.prepare(job.plugin, samples, job.model_params))
        for samples in _merging.calibration(job).values()
    ]
    options = (params["shrink"], params["merged_inputs"], params["blocks"], params["layers"])
    walk(merged, candidates, inputs, Settings(*options, params["batch_size"], job.log))
    return _merging.finish(job, dict(merged.state_dict()))


@torch.inference_mode()
def walk(merged: Any, candidates: Sequence[Any], inputs: Sequence[torch.Tensor], settings: Settings) -> None:
    """Replace the linear layers of a merged model, block after block, by the least-squares solutions.

    Args:
        merged: holds the mean of the candidates; changed in place.
        candidates: the nets.
        inputs: prepared calibration samples of each.
        settings: see `Settings`.
    """
    embedding = [merged if settings.merged_inputs else merged_or_candidate for merged_or_candidate in candidates]
    hidden = [
        _through(merged_or_candidate.embed, batch, settings.batch_size)
        for merged_or_candidate, batch in zip(embedding, inputs, strict=True)
    ]
    for number, block in enumerate(merged.blocks):
        candidate_blocks = [merged_or_candidate.blocks[number] for merged_or_candidate in candidates]
        grams, outputs = [], []
        for candidate, tokens in zip(candidate_blocks, hidden, strict=True):
            with recording(linear_layers(candidate)) as recorded:
                outputs.append(_through(candidate, tokens, settings.batch_size))
            grams.append({name: recorded.mean(name) for name in recorded.sums})
        for name, layer in linear_layers(block).items():
            if settings.solves(number, name):
                weights = [linear_layers(candidate_block)[name].weight for candidate_block in candidate_blocks]
                _solve(
                    layer, [candidate_block[name] for candidate_block in grams], weights, settings, f"{number}.{name}"
                )
        hidden = [_through(block, t, settings.batch_size) for t in hidden] if settings.merged_inputs else outputs


def _through(part: Callable[[Any], Any], tokens: torch.Tensor, size: int) -> torch.Tensor:
    return torch.cat([part(batch) for batch in tokens.split(size)])


def linear_layers(part: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a block by name."""
    return {n: layer for n, layer in part.named_modules() if isinstance(layer, nn.Linear)}


# ------------------------------------------------------------------ Gram matrices


@dataclass
class Grams:
    """Sums of X^T X in float64, and how many tokens they are over."""

    sums: dict[str, torch.Tensor]
    tokens: dict[str, int]

    def add(self, name: str, inputs: torch.Tensor) -> None:
        """Add a batch of inputs (..., in), each vector a token; products in the inputs' precision."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        self.sums[name] = self.sums.get(name, 0) + (rows.T @ rows).double()
        self.tokens[name] = self.tokens.get(name, 0) + len(rows)

    def mean(self, name: str) -> torch.Tensor:
        """G of a layer: a task with longer sequences or more samples weighs no more."""
        return self.sums[name] / self.tokens[name]


@contextmanager
def recording(layers: Mapping[str, nn.Linear]) -> Iterator[Grams]:
    """Record the inputs of linear layers while they are called."""
    grams = Grams({}, {})

    def hook(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        return lambda _, inputs: grams.add(name, inputs[0])

    handles = [layer.register_forward_pre_hook(hook(name)) for name, layer in layers.items()]
    try:
        yield grams
    finally:
        for handle in handles:
            handle.remove()


def shrunk(gram: torch.Tensor, a: float) -> torch.Tensor:
    """Shrunk G: a * G + (1 - a) * diag(G)."""
    return a * gram + (1 - a) * torch.diag(gram.diagonal())


def solution(grams: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]) -> tuple[torch.Tensor, float, bool]:
    """Solve for the merged weight by Cholesky in float64.

    Args:
        grams: of each model, (in, in), shrunk.
        weights: of each model, (out, in).

    Returns:
        The weight float64 (out, in), the condition number of the sum of Grams, and whether it was singular, so
        that 1e-6 of its mean diagonal was added to the diagonal.
    """
    total = torch.stack([gram.double() for gram in grams]).sum(0)
    right = torch.stack([g.double() @ w.double().T for g, w in zip(grams, weights, strict=True)])
    values = torch.linalg.eigvalsh(total)
    condition = float(values[-1] / values[0]) if values[0] > 0 else float("inf")
    singular = condition > SINGULAR
    if singular:
        size = max(float(total.diagonal().mean()), RIDGE)
        total = total + RIDGE * size * torch.eye(len(total), dtype=total.dtype)
    factor = torch.linalg.cholesky(total)
    return torch.cholesky_solve(right.sum(0), factor).T, condition, singular


def _solve(
    layer: nn.Linear, grams: Sequence[torch.Tensor], weights: Sequence[torch.Tensor], settings: Settings, name: str
) -> None:
    """Put a layer's solution in its place; log its condition number, and whether a ridge was needed."""
    weight, condition, singular = solution([shrunk(g, settings.shrink) for g in grams], weights)
    layer.weight.copy_(weight.to(layer.weight.dtype))
    block = int(name.partition(".")[0])
    settings.log(block, f"condition/{name}", condition)
    if singular:
        settings.log(block, f"singular/{name}", 1.0)
