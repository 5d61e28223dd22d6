"""Pretraining of a language model on a stream of texts: the next token's cross-entropy, over windows of tokens.

Texts are read shard by shard, turned into tokens, put one after the other, and cut into windows; no split is ever in
memory. Windows are shuffled by keyed words within a buffer; when the texts end before the training does, they begin
again, in another order. Memory holds the logits of `at_once` windows alone.

Source: ROOT, arXiv 2511.20626, and its example script (huawei-noah/noah-research, folder ROOT): windows of one stream,
each text behind its first token, 100 warm-up steps, then a cosine, weight decay 0.1. Differs: the script holds all
tokens in memory and shuffles them as a whole; its rate falls to 0, ours to a thousandth of the peak. Neither the batch
nor the rate of the paper's runs of 10 and 100 B tokens could be found.

The log has `train_loss`, the mean over `every` steps, and, where the optimiser orthogonalises, at the steps `seen` the
error of five Newton-Schulz steps on what each sampled matrix moves along: `ns_error/METHOD/LAYER/SHAPE`.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.optimizers import _newton_schulz, _orthogonal
from shiftbench.plugins.trainers import _loop

TASKS = ("language_modelling",)
Tokens = npt.NDArray[np.int64]


class Options(declare.Options):
    tokens: int = Field(10_000_000_000, ge=1, description="tokens of the training")
    length: int = Field(2048, ge=1, description="tokens of a window")
    batch_size: int = Field(512, ge=1, description="windows of a step")
    at_once: int = Field(4, ge=1, description="windows of a step that are in memory at a time")
    buffer: int = Field(8192, ge=1, description="windows that are shuffled together")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.001
    weight_decay: fields.WeightDecay = 0.1
    warmup_steps: int = Field(100, ge=0, description="first steps, in which the learning rate rises")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="number format of the forward pass"
    )
    every: int = Field(20, ge=1, description="steps whose mean loss is an entry of the log")
    seen: list[int] = Field([], description="steps at which the error of Newton-Schulz is logged")
    layers: list[str] = Field([], description="parts of names of the matrices that are measured; []: all")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train shards."""
    return [refs.shards(params["dataset"], "train")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step.

    Raises:
        ParamsError: an option out of range, or texts of fewer tokens than a window.
    """
    params = checked(job.params)
    device = nets.pick_device(job.device)
    model = nets.place(_loop.fresh_net(job), device)
    steps = params["tokens"] // (params["batch_size"] * params["length"])
    update = _loop.optimiser(job, model)
    rate = _loop.schedule(update, "warmup_cosine", steps, params["warmup_steps"] / steps)
    stream, losses = windows(job), []
    model.train()
    for step in range(1, steps + 1):
        batch = np.stack(list(itertools.islice(stream, params["batch_size"])))
        losses.append(_gradients(model, torch.from_numpy(batch).to(device), params))
        update.step()
        rate.step()
        if step in params["seen"]:
            _log_errors(job, model, update, step)
        update.zero_grad()
        if step % params["every"] == 0 or step == steps:
            job.log(step, "train_loss", float(np.mean(losses)))
            losses = []
    return dict(model.state_dict())


def _gradients(model: Any, batch: torch.Tensor, params: Mapping[str, Any]) -> float:
    """Add up the gradients of a batch (n, length + 1) of windows, and return its mean loss."""
    kind, total = nets.PRECISIONS[params["precision"]], 0.0
    for part in batch.split(params["at_once"]):
        with torch.autocast(batch.device.type, kind, enabled=kind != torch.float32):
            loss = model.losses(part).mean() * (len(part) / len(batch))
        loss.backward()
        total += loss.item()
    return total


def checked(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options.

    Raises:
        ParamsError: names the option that is out of range.
    """
    if params["precision"] not in nets.PRECISIONS:
        hint = suggest(params["precision"], nets.PRECISIONS)
        raise ParamsError(f"pretraining: precision = {params['precision']!r}; {hint}")
    least = params["batch_size"] * params["length"]
    if params["tokens"] < least:
        raise ParamsError(
            f"pretraining: tokens = {params['tokens']:,} is less than one step of batch_size x length = {least:,}"
        )
    return params


# ------------------------------------------------------------------ windows of tokens


def windows(job: TrainJob) -> Iterator[Tokens]:
    """Yield windows int64 (length + 1,) for ever: each begins with the last token of the one before.

    Raises:
        ParamsError: a pass over the texts gives no window.
    """
    for turn in itertools.count():
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"{turn}/order")
        count = 0
        for window in _shuffled(_cut(job), job.params["buffer"], rng):
            count += 1
            yield window
        if not count:
            raise ParamsError(
                f"pretraining: the texts of {job.dataset} have fewer tokens than `length` = {job.params['length']}"
            )


def _cut(job: TrainJob) -> Iterator[Tokens]:
    """Yield the windows of one pass, in the order of the texts; what is left at the end is dropped."""
    length, remaining = job.params["length"], np.zeros(0, np.int64)
    for sample in shards.read(_folder(job), ["text"]):
        tokens = job.plugin.encoded(sample.fields["text"], job.model_params)
        remaining = np.concatenate([remaining, np.array(tokens, np.int64)])
        while len(remaining) > length:
            yield remaining[: length + 1]
            remaining = remaining[length:]


def _shuffled(stream: Iterator[Tokens], size: int, rng: RandomStream) -> Iterator[Tokens]:
    """Yield all windows, each buffer of `size` in a random order of its own."""
    for buffer in iter(lambda: list(itertools.islice(stream, size)), []):
        for index in rng.choice(len(buffer)):
            yield buffer[index]


def _folder(job: TrainJob) -> Path:
    name = refs.shards(job.dataset, "train").name
    return next(path.parent for ref, path in job.inputs.items() if ref.name == name)


# ------------------------------------------------------------------ errors of the iteration


def _log_errors(job: TrainJob, model: nn.Module, update: torch.optim.Optimizer, step: int) -> None:
    """Log how far each set of coefficients is from orthogonal, on what Muon's or ROOT's matrices move along now."""
    if not isinstance(update, _orthogonal.Orthogonal):
        return
    for name, parameter in model.named_parameters():
        layer = name.removesuffix(".weight")
        if not _orthogonal.is_hidden(name, parameter) or not _sampled(layer, job.params["layers"]):
            continue
        assert parameter.grad is not None  # noqa: S101 - a step was made
        momentum = update.state[parameter]["momentum"]
        direction = _orthogonal.ahead(momentum, parameter.grad, update.rule)
        values = _newton_schulz.spectrum(direction.double().cpu().numpy())
        shape = "x".join(map(str, direction.shape))
        for method, triple in _orthogonal.COEFFICIENTS.items():
            error = _newton_schulz.error(values, triple(direction.shape))
            job.log(step, f"ns_error/{method}/{layer}/{shape}", error)


def _sampled(layer: str, parts: list[str]) -> bool:
    """Whether a layer is measured: all are where no parts of names are given."""
    return not parts or any(layer.startswith(part) for part in parts)
