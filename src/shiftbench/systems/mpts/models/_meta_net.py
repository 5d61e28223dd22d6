"""A model that is adapted to each task by gradient steps on its support, and a model of the risk that then remains.

All weights of a model are one vector (p,), those of n tasks the rows of a matrix (n, p), so that a step on all tasks is
one operation. Layers are linear, with ReLU between them, of what `_links` makes of the layer before. The risk model is
part of every trainer's checkpoint; it predicts once it has learned, which it does under `maml_mpts` alone.

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, equation 1. Meta-training, whose
gradient goes through the step, is in `_second_order.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.tasks import _episodes
from shiftbench.systems.mpts.models import _second_order
from shiftbench.systems.mpts.models._links import Floats, Link
from shiftbench.systems.mpts.models._risk_model import RiskModel

Identifier = Annotated[int, Field(ge=1, description="numbers of a task's identifier")]
RiskWidth = Annotated[int, Field(ge=1, description="numbers of the risk model's latent variable and layers")]
RiskScale = Annotated[float, Field(gt=0, description="unit of the risk model's targets, 1 / K of the released code")]
RiskDraws = Annotated[int, Field(ge=1, description="draws of the latent variable for a predicted risk")]
Steps = Annotated[int, Field(ge=0, description="gradient steps on the support at test time")]
Rate = Annotated[float, Field(ge=0, description="rate of these steps")]


def gradient_steps(network: Any, vector: torch.Tensor, support: torch.Tensor, rate: float, steps: int) -> torch.Tensor:
    """Weights of each task (n, p) after steps on the risk of its support (n, k, d + 1), from common ones (p,)."""
    rows = vector.expand(len(support), -1)
    for _ in range(steps):
        rows = rows.detach().requires_grad_()
        loss = risks(network, support, rows).sum()  # a row is in its own task's risk alone
        (gradient,) = torch.autograd.grad(loss, rows)
        rows = rows - rate * gradient
    return rows.detach()


def risks(network: Any, points: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Risk (n,) of each task over its points (n, k, d + 1), under its weights (n, p)."""
    values: torch.Tensor = network.risks(network.forward(points[..., :-1], rows), points[..., -1])
    return values


class MetaNet(nn.Module, ABC):
    """Linear layers, called with weights of each task; and `risk_model`.

    Args:
        sizes: how many numbers enter and leave each layer.
        links: what is before each layer.
        params: of the model, for the risk model.
    """

    ANSWERS: ClassVar[str]
    """The task's name for the outputs of a predictor."""

    def __init__(self, sizes: Sequence[tuple[int, int]], links: Sequence[Link], params: Mapping[str, Any]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width_in, width_out) for width_in, width_out in sizes)
        self.risk_model = RiskModel(params["identifier"], params["risk_width"])
        self.sizes, self.links = list(sizes), list(links)
        self.parts = [part for width_in, width_out in self.sizes for part in (width_in * width_out, width_out)]

    @abstractmethod
    def loss(self, outputs: Floats, targets: Floats) -> _second_order.Loss:
        """Loss of outputs and targets (n, k, 1)."""

    @abstractmethod
    def risks(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Risk of each task (n,), of outputs and targets (n, k)."""

    @abstractmethod
    def points(self, samples: Sequence[Sample], name: str) -> Floats:
        """`support` or `query` of samples, float32 (n, k, d + 1), the target last."""

    @abstractmethod
    def answers(self, outputs: torch.Tensor) -> torch.Tensor:
        """Answers in the task's form, from outputs (n, q)."""

    def vector(self) -> torch.Tensor:
        """All weights, detached, (p,): of each layer weight, then bias."""
        return parameters_to_vector(self.layers.parameters()).detach()

    def adopt_vector(self, vector: torch.Tensor) -> None:
        """Take the weights of a vector (p,)."""
        vector_to_parameters(vector.detach(), self.layers.parameters())

    def in_layers(self, vector: torch.Tensor) -> list[_second_order.Layer]:
        """Weight and bias of each layer of a vector (p,): arrays that share its memory."""
        whole = vector.detach().numpy()
        parts = np.split(whole, np.cumsum(self.parts)[:-1])
        weights = zip(parts[::2], self.sizes, strict=True)
        return [
            (weight.reshape(width_out, width_in), bias)
            for (weight, (width_in, width_out)), bias in zip(weights, parts[1::2], strict=True)
        ]

    def forward(self, inputs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Map inputs (n, k, d) to outputs (n, k) under the weights (n, p) of each task."""
        x, parts = inputs, rows.split(self.parts, dim=1)
        for at, ((width_in, width_out), link) in enumerate(zip(self.sizes, self.links, strict=True)):
            weight, bias = parts[2 * at].view(-1, width_out, width_in), parts[2 * at + 1]
            entering = link.tensor(x.relu() if at else x)
            x = torch.baddbmm(bias[:, None], entering, weight.transpose(1, 2))
        return x.squeeze(2)


def chain(*widths: int) -> list[tuple[int, int]]:
    """Sizes of layers that follow each other directly."""
    return list(pairwise(widths))


def predictor(
    network: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """Predictor that adapts to each task: its answers to the query, and `predicted_risk` float32 (n,).

    The predicted risk is the mean over fixed draws of z, in the unit of the risk. Computes in float32.
    """
    target = nets.pick_device(device)
    placed: Any = network.to(target).eval()

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        support, query = (torch.from_numpy(placed.points(samples, name)).to(target) for name in ("support", "query"))
        rows = adapt(placed, support, params)
        with torch.inference_mode():
            answers = placed.answers(placed.forward(query[..., :-1], rows))
            expected = predicted_risks(placed.risk_model, samples, params).float()
        return {placed.ANSWERS: nets.to_numpy(answers), "predicted_risk": nets.to_numpy(expected)}

    return predict


def adapt(network: MetaNet, support: torch.Tensor, params: Mapping[str, Any]) -> torch.Tensor:
    """Weights of each task (n, p), with the steps and the rate of test time."""
    vector, rate, steps = network.vector(), params["lr"], params["steps"]
    return gradient_steps(network, vector, support, rate, steps)


def stack(samples: Sequence[Sample], name: str) -> np.ndarray:
    """A field of all samples as one array (n, k, ...).

    Raises:
        ModelError: samples differ in their number of points.
    """
    arrays = [sample.fields[name] for sample in samples]
    for sample, points in zip(samples, arrays, strict=True):
        if points.shape != arrays[0].shape:
            raise ModelError(
                f"{sample.key}: {name} is {points.shape}, that of {samples[0].key} {arrays[0].shape}; tasks of one "
                "batch have as many points"
            )
    return np.stack(arrays)


def predicted_risks(risk_model: RiskModel, samples: Sequence[Sample], params: Mapping[str, Any]) -> torch.Tensor:
    """Risk of each sample that the risk model expects, (n,); NaN where it did not learn, or one has no identifier."""
    device = risk_model.posterior_mean.device
    missing = [float("nan")] * params["identifier"]
    identifiers = [_episodes.identifier(sample) or missing for sample in samples]
    if not int(risk_model.updates):
        return torch.full((len(samples),), float("nan"), device=device)
    rng = RandomStream(0, "maml_mlp", "risk_model", "draws")
    normal = torch.from_numpy(rng.normal((params["risk_draws"], params["risk_width"]))).to(device)
    latent = risk_model.posterior_mean + risk_model.posterior_std * normal
    tasks = torch.tensor(identifiers, dtype=torch.float32, device=device)
    expected: torch.Tensor = risk_model.expected(tasks, latent).mean(0) / params["risk_scale"]
    return expected
