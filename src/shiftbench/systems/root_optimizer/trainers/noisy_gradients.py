"""ERM whose gradients are corrupted between the backward pass and the step: a shift on gradients, for optimisers.

After each backward pass, in the gradient G of every matrix:
- a share of the entries, drawn by keyed words, becomes +-kappa rms(G);
- `noise` times rms(G) times Student's t is added to all.

Source: ours. ROOT (arXiv 2511.20626) is made against gradients with heavy tails, and this makes some. No augmentation.
The log has the root mean square of all gradients before and after, every 25 steps.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop

TASKS = ("classification", "text_classification")
EVERY = 25


class Options(declare.Options):
    epochs: fields.Epochs = 1
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 0.1
    schedule: fields.Schedule = "cosine"
    kappa: float = Field(
        0.0, ge=0, description="size of a corrupted entry, in root mean squares of the gradient; 0: none"
    )
    fraction: float = Field(0.01, ge=0, le=1, description="share of the entries that `kappa` corrupts")
    noise: float = Field(0.0, ge=0, description="scale of the added Student's t, in root mean squares; 0: none")
    nu: int = Field(3, ge=1, description="degrees of freedom of Student's t")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch.

    Raises:
        ParamsError: an option out of range.
    """
    checked(job.params)

    def loss(model: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        return cross_entropy(model(_loop.tensor(batch, model)), labels)

    model = _loop.fresh_net(job)
    return dict(_loop.fit(job, model, loss, between=corruption(job)).state_dict())


def corruption(job: TrainJob) -> Callable[[nn.Module, RandomStream], None]:
    """Function that corrupts the gradients of a model and logs their size."""
    step = 0

    def corrupt(model: nn.Module, rng: RandomStream) -> None:
        nonlocal step
        is_logged = step % EVERY == 0
        if is_logged:
            job.log(step, "gradient_rms", _rms(model))
        for parameter in model.parameters():
            if parameter.grad is not None and parameter.ndim > 1:
                parameter.grad = corrupted(parameter.grad, rng, job.params)
        if is_logged:
            job.log(step, "gradient_rms_corrupted", _rms(model))
        step += 1

    return corrupt


def corrupted(gradient: torch.Tensor, rng: RandomStream, params: Mapping[str, Any]) -> torch.Tensor:
    """The corrupted gradient of one matrix.

    Args:
        gradient: any shape.
        rng: random words of this step, drawn on.
        params: `kappa`, `fraction`, `noise`, `nu`.
    """
    flat = gradient.flatten().clone()
    rms, size = float(flat.square().mean().sqrt()), flat.numel()
    if params["kappa"]:
        is_hit = rng.uniform(size) < params["fraction"]
        signs = np.where(rng.uniform(size) < 0.5, -1.0, 1.0).astype(np.float32)
        places = torch.from_numpy(np.flatnonzero(is_hit)).to(gradient.device)
        values = torch.from_numpy(signs[is_hit]).to(gradient) * params["kappa"] * rms
        flat[places] = values
    if params["noise"]:
        normal = rng.normal((1 + params["nu"], size)).astype(np.float64)
        student = normal[0] / np.sqrt((normal[1:] ** 2).mean(axis=0))
        flat = flat + torch.from_numpy(params["noise"] * rms * student).to(gradient)
    return flat.reshape(gradient.shape)


def _rms(model: nn.Module) -> float:
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return float(torch.cat(gradients).square().mean().sqrt())


def checked(params: Mapping[str, Any]) -> None:
    """Refuse options out of range.

    Raises:
        ParamsError: names the option.
    """
    if not 0 <= params["fraction"] <= 1:
        raise ParamsError(f"noisy_gradients: fraction = {params['fraction']}; expected 0 to 1")
    for name in ("kappa", "noise"):
        if params[name] < 0:
            raise ParamsError(f"noisy_gradients: {name} = {params[name]}; expected 0 or more")
    if params["nu"] < 1:
        raise ParamsError(f"noisy_gradients: nu = {params['nu']}; expected 1 or more")
