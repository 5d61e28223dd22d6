"""A network whose head sees features that are standardised per sample, or divided by their length.

    models:
      convnet_zscore: {use: standardised, net: convnet}
      convnet_norm: {use: standardised, net: convnet, space: norm, sigma: 1.0}

`net` is a file in `models/` (convnet, resnet18_32x32, torchvision, timm, ...), `options` are its options. With h the
inner network's features (n, d), the head sees

    space: zscore   sigma (h - mean(h)) / (std(h) + 1e-6), mean and unbiased std over the d entries of a sample
    space: norm     sigma h / (||h|| + 1e-6)
    space: plain    h

Source: "Going Beyond Conventional OOD Detection", 2024, arXiv:2411.10794 (ASCOOD), whose head is the first, sigma 0.5;
the others are its ablation (table 8).

The features that records keep are those that the head sees, so that the head is the linear layer between features and
logits, which ViM, DICE, SCALE or fDBD need. The method `raw_features` keeps h instead; there, the head is refused.
Standardised features sum to 0 and have negative entries: SCALE's factor is exp(0) = 1 on them, so that it is the
energy. The authors' code hands h to detectors, and the head's weights too: the detector `scale_mixed`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare

TASK = "classification"
SPACES = ("zscore", "norm", "plain")
TINY = 1e-6


class Options(declare.Options):
    net: str = Field("convnet", description="inner network: a plugin of type models, an architecture")
    options: dict[str, Any] = Field({}, description="options of the inner network")
    space: Literal["zscore", "norm", "plain"] = Field(
        "zscore", description="features standardised per sample, divided by their length, or as they are"
    )
    sigma: float = Field(0.5, gt=0, description="factor of the features that the head sees")


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other plugins whose code decides the result."""
    return [("models", params["net"])]


class Standardised(nn.Module):
    """Inputs of the inner network to standardised features (n, d) and logits; `raw` gives h."""

    def __init__(self, body: nn.Module, space: str, sigma: float) -> None:
        super().__init__()
        self.head = body.get_submodule("head")
        body.head = nn.Identity()
        self.body = body
        self.space, self.sigma = space, sigma

    def raw(self, x: torch.Tensor) -> torch.Tensor:
        """Features h (n, d) of the inner network."""
        h: torch.Tensor = self.body.features(x)  # type: ignore[operator]
        return h

    def standardised(self, h: torch.Tensor) -> torch.Tensor:
        """The standardised features of h (n, d), which the head gets."""
        if self.space == "zscore":
            centred = h - h.mean(dim=1, keepdim=True)
            h = self.sigma * centred / (h.std(dim=1, keepdim=True) + TINY)
        elif self.space == "norm":
            h = self.sigma * h / (h.norm(dim=1, keepdim=True) + TINY)
        return h

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The standardised features (n, d), which the head gets."""
        return self.standardised(self.raw(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def adopt(self, state: nets.State) -> nets.State:
        """The state dict of an inner network, or of the authors' whole (`backbone.`, `sigma`), under the names here.

        Raises:
            ModelError: it was trained with another sigma.
        """
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
        sigma = state.pop("sigma", None)
        if sigma is not None and abs(float(sigma) - self.sigma) > TINY:
            raise ModelError(
                f"standardised: the weights were trained with sigma {float(sigma):g}, the model has {self.sigma:g}"
            )
        if sigma is not None:
            state = {name.removeprefix("backbone."): tensor for name, tensor in state.items()}
        if all(name.startswith(("body.", "head.")) for name in state) and any(
            name.removeprefix("body.") in self.body.state_dict() for name in state
        ):
            return state
        inner = self.body.adopt(state) if hasattr(self.body, "adopt") else state  # type: ignore[operator]
        return {name if name.startswith("head.") else f"body.{name}": tensor for name, tensor in inner.items()}


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator.

    Raises:
        ModelError: `net` is no architecture, or its features are not what its head sees.
        ParamsError: no such space.
    """
    if params["space"] not in SPACES:
        raise ParamsError(f"standardised: space is {params['space']!r}; {suggest(params['space'], SPACES)}")
    model, options = _inner(params)
    body: nn.Module = model.build(options, classes)
    if hasattr(body, "predict"):
        raise ModelError(f"standardised: the head of {params['net']!r} sees more than its features")
    return Standardised(body, params["space"], params["sigma"])


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The inner network's own tensors.

    Raises:
        ModelError: it brings none.
    """
    model, options = _inner(params)
    if not hasattr(model, "pretrained"):
        raise ModelError(f"standardised: {params['net']!r} brings no weights of its own; train it")
    state: nets.State = model.pretrained(options, inputs)
    return state


def _inner(params: Mapping[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    model = registry.find("models", params["net"])
    if not hasattr(model, "build"):
        raise ModelError(f"standardised: {params['net']!r} is no architecture; use convnet, torchvision, timm")
    return model, {**registry.defaults(model), **params["options"]}


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The inner network's input for samples."""
    model, options = _inner(params)
    return nets.prepare(model, samples, options)
