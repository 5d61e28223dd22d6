"""Small networks of views of an image, one for each modality, and a joint head.

`rgb` and `shape` have the plain convolutional network of `convnet`, `profile` two linear layers. `modalities: [rgb]` is
a network of one modality, whose joint head is its only one in use. A modality that a sample lacks is black; an `image`
stands for `rgb`.

Source: Dong et al. 2024, arXiv:2405.17419, at small size (there SlowFast, SlowOnly and a ResNet-18 of spectrograms).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, convnet
from shiftbench.systems.multiood.models import _modal

TASK = "modalities"
MODALITIES = ("rgb", "shape", "profile")


class Options(declare.Options):
    modalities: list[Literal["rgb", "shape", "profile"]] = Field(["rgb", "shape"], description="modalities, each once")
    width: int = Field(8, ge=1, description="channels of the first layer of `rgb` and `shape`")
    features: int = Field(64, ge=1, description="features of each modality")
    size: fields.Size = 28


class PictureBranch(nn.Module):
    """A field (n, 1, size, size), 0 to 255, to features (n, width) that are 0 or more."""

    def __init__(self, field: str, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.field = field
        model = convnet.ConvNet(params["width"], "batch", params["features"], classes)
        self.body, self.neck = model.body, model.neck

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The features."""
        features: torch.Tensor = self.neck(self.body(x[self.field].float() / 127.5 - 1.0))
        return features


class ProfileBranch(nn.Module):
    """The field `profile` (n, 2 size), 0 to 255, to features (n, width) that are 0 or more."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = params["features"]
        self.layers = nn.Sequential(
            nn.Linear(2 * params["size"], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )

    def forward(self, x: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The features."""
        features: torch.Tensor = self.layers(x["profile"].float() / 127.5 - 1.0)
        return features


def build(params: Mapping[str, Any], classes: int) -> _modal.Modal:
    """The network with fresh weights from torch's generator.

    Raises:
        ParamsError: a modality that is unknown, or named twice.
    """
    names = _modal.check(params["modalities"], MODALITIES, "modal_cnn")
    branches = {
        name: ProfileBranch(params) if name == "profile" else PictureBranch(name, params, classes) for name in names
    }
    return _modal.Modal(branches, [params["features"]] * len(names), classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """(n,) of the modalities: uint8 (1, size, size), `profile` (2 size,)."""
    size = params["size"]
    shapes = {"profile": (2 * size,)}
    fields = [(name, np.uint8, shapes.get(name, (1, size, size))) for name in params["modalities"]]
    batch = np.zeros(len(samples), np.dtype(fields))
    for name in params["modalities"]:
        values = {at: value for at, sample in enumerate(samples) if (value := _of(sample, name)) is not None}
        if values and name == "profile":
            batch[name][list(values)] = np.stack(list(values.values()))
        elif values:
            pictures = [Sample(samples[at].key, {"image": value}) for at, value in values.items()]
            batch[name][list(values)] = _images.grey_batch(pictures, size)
    return batch


def _of(sample: Sample, name: str) -> Any:
    return sample.fields.get(name, sample.fields.get("image") if name == "rgb" else None)
