"""Networks from model zoos: body and head apart, normalisation and preprocessing; helper."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import State
from shiftbench.plugins.models import _images

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Split(nn.Module):
    """A classifier cut before its last linear layer.

    `body` maps normalised images to features (n, d), `head` features to logits. Images come as
    (n, 3, h, w) in 0..255, uint8 or float, and are normalised here, on the device.

    Args:
        network: any network whose last linear layer gives the logits.
        classes: number of logits.
        mean: of each channel, for images in 0..1.
        std: of each channel, for images in 0..1.

    Raises:
        ModelError: the last linear layer does not have `classes` outputs.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, network: nn.Module, classes: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.head_name, self.head = _last_linear(network, classes)
        parent, _, name = self.head_name.rpartition(".")
        setattr(network.get_submodule(parent), name, nn.Identity())
        self.body = network
        centre, spread = (torch.tensor(value).reshape(-1, 1, 1) for value in (mean, std))
        self.register_buffer("mean", centre / spread, persistent=False)
        self.register_buffer("scale", 1 / (255 * spread), persistent=False)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, d)."""
        pooled: torch.Tensor = self.body(x.float() * self.scale - self.mean)
        return pooled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def adopt(self, state: State) -> State:
        """The uncut network's state dict under this module's names.

        A backbone without a head, as self-supervised ones are, gets a head of zeros: a model that is probed has
        features, and no answers yet. Other missing or unknown tensors are refused when the state is loaded.
        """
        if "head.weight" in state and any(name.startswith("body.") for name in state):
            return state
        prefix = f"{self.head_name}."
        renamed = {
            f"head.{name.removeprefix(prefix)}" if name.startswith(prefix) else f"body.{name}": tensor
            for name, tensor in state.items()
        }
        return renamed if any(name.startswith("head.") for name in renamed) else {**renamed, **zeros(self.head)}


def zeros(head: nn.Linear) -> State:
    """The tensors of a head that answers nothing: all logits are 0."""
    return {f"head.{name}": torch.zeros_like(tensor) for name, tensor in head.state_dict().items()}


def _last_linear(network: nn.Module, classes: int) -> tuple[str, nn.Linear]:
    layers = [(name, part) for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not layers or layers[-1][1].out_features != classes:
        description = f"{layers[-1][0]} with {layers[-1][1].out_features} outputs" if layers else "none"
        raise ModelError(
            f"{type(network).__name__}: expected a last linear layer with {classes} outputs, found {description}; "
            "give it as TorchScript (`use: torchscript`) or as a callable instead"
        )
    return layers[-1]


def square(params: Mapping[str, Any]) -> Callable[[_images.Pixels], _images.Pixels]:
    """The usual preprocessing: shorter side to `size / crop`, then the middle square."""
    size, shorter = params["size"], int(params["size"] / params["crop"])
    kind = params.get("interpolation", "bicubic")
    return lambda image: _images.resize_and_crop(image, shorter, size, kind)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size), stored with channels last; grey is repeated."""
    return _images.colour_batch(samples, square(params))
