"""SqueezeNet 1.1, pretrained on ImageNet-1k: fire modules, 1.2 M parameters.

Source: Iandola et al., "SqueezeNet", 2016, arXiv:1602.07360; architecture from torchvision, weights as in
`sources/squeezenet.yaml` (Caffe's: BGR, 0..255 minus the channel means, 227 px).

The original scores a class by the mean over the map of ReLU(1x1 convolution). Features here are the
mean over the map before that convolution (n, 512), so that a new head is linear in them; the
weights' `rectify` says which of the two the head is.
"""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _pretrained

TITLE = "SqueezeNet 1.1"
TASK = "classification"
PRETRAINED_ON = "imagenet"
CITATION = "Iandola et al., SqueezeNet, 2016, arXiv:1602.07360"
MEAN_BGR = (104.006, 116.669, 122.679)
FIRES = (3, 4, 6, 7, 9, 10, 11, 12)
"""Places of fire2 to fire9 in torchvision's `features`."""


class Options(declare.Options):
    size: fields.Size = 128
    crop: fields.Crop = 1.0


class SqueezeNet(nn.Module):
    """RGB images (n, 3, h, w) in 0..255 to features (n, 512) and logits (n, classes)."""

    mean: torch.Tensor
    rectify: torch.Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        from torchvision.models import squeezenet1_1

        self.body = squeezenet1_1().features
        self.head = nn.Linear(512, classes)
        self.register_buffer("rectify", torch.tensor(0, dtype=torch.uint8))
        self.register_buffer("mean", torch.tensor(MEAN_BGR).reshape(3, 1, 1), persistent=False)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """The last fire module's output (n, 512, h', w')."""
        maps: torch.Tensor = self.body(x.float().flip(1) - self.mean)
        return maps

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Penultimate features (n, 512)."""
        return self.maps(x).mean((2, 3))

    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features and logits; the original head needs the map, not its mean."""
        maps = self.maps(x)
        features = maps.mean((2, 3))
        if not self.rectify:
            return features, self.head(features)
        scores = F.conv2d(maps, self.head.weight[..., None, None], self.head.bias)
        return features, F.relu(scores).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        return self.predict(x)[1]


class Arrays(pickle.Unpickler):
    """An unpickler that knows numpy arrays and nothing else."""

    ALLOWED = frozenset({("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        """The constructors of numpy's arrays; all else is refused."""
        module = module.replace("numpy.core", "numpy._core")
        if (module, name) not in self.ALLOWED:
            raise ModelError(f"refused to load {module}.{name} from a pickle; only arrays are allowed")
        return super().find_class(module, name)


def read_arrays(stream: BinaryIO) -> dict[str, list[np.ndarray[Any, Any]]]:
    """Read the package's pickle: layer name -> [kernel (h, w, in, out), bias].

    Raises:
        ModelError: it holds anything else than arrays.
    """
    arrays: dict[str, list[np.ndarray[Any, Any]]] = Arrays(stream, encoding="latin1").load()
    return arrays


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict of the packaged ImageNet weights."""
    folder = inputs[refs.sources("squeezenet")].parent
    with (folder / "squeezenet_weights.pkl").open("rb") as stream:
        arrays = read_arrays(stream)
    state: nets.State = {"rectify": torch.tensor(1, dtype=torch.uint8)}
    for layer, (kernel, bias) in arrays.items():
        weight = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32))
        name = _name(layer)
        state[f"{name}.weight"] = weight[..., 0, 0] if name == "head" else weight
        state[f"{name}.bias"] = torch.from_numpy(np.array(bias, np.float32).ravel())
    return state


def _name(layer: str) -> str:
    """Translate `conv1`, `fire2/squeeze1x1` ... `conv10` into our names."""
    if layer in ("conv1", "conv10"):
        return "body.0" if layer == "conv1" else "head"
    fire, _, part = layer.partition("/")
    place = FIRES[int(fire.removeprefix("fire")) - 2]
    return f"body.{place}.{'squeeze' if part.startswith('squeeze') else part}"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The package's weights."""
    return [refs.sources("squeezenet")]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights and a linear head."""
    return SqueezeNet(classes)


def with_head(state: nets.State) -> nets.State:
    """The state dict with the note that its head is linear in the features."""
    return {**state, "rectify": torch.tensor(0, dtype=torch.uint8)}


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size), RGB."""
    return _pretrained.prepare_batch(samples, params)
