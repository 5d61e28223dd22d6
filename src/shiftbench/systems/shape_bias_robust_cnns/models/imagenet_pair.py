"""AlexNet, GoogLeNet or ResNet-50 of ImageNet, standard or adversarially trained, asked for classes or 16 categories.

    models:
      alexnet: {use: imagenet_pair, name: alexnet}
      alexnet_r: {use: imagenet_pair, name: alexnet, robust: true, path: /data/shape-bias/alexnet-r.pt}

Without a `path` the weights are torchvision's (`weights`), by the trainer `pretrained`; with one a checkpoint of the
user's, by `given`: with torchvision's names, or as the `robustness` package writes it, `module.model.` beside the
attacker's copy and the normaliser, AlexNet's last layer as `last_layer` and, in an older GoogLeNet, `branch4_conv`. All
models take pictures of 0 to 255 and normalise inside by ImageNet's mean and deviation, as `robustness` does; a
checkpoint with another mean is refused. Of GoogLeNet the standard one normalises once more (`transform_input`), the
robust one does not, and auxiliary heads are left out.

For a dataset with the 16 categories of Geirhos et al. logits are the logarithms of mean probabilities over each
category's classes (`entry_level.csv`, 207 of 1000), so that the answer is the category with the highest mean.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373; the mapping is `probabilities_to_decision.py` of
https://github.com/rgeirhos/texture-vs-shape, with the mean, as it says.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _foreign, _images, _pretrained
from shiftbench.systems.shape_bias_robust_cnns.datasets import texture_vs_shape

TASK = "classification"
ASSETS = ("entry_level.csv",)
CLASSES = 1000
NAMES = ("alexnet", "googlenet", "resnet50")


class Options(declare.Options):
    name: Literal["alexnet", "googlenet", "resnet50"] = Field("resnet50", description="architecture")
    robust: bool = Field(False, description="adversarially trained, from a checkpoint of yours (`path`)")
    weights: str = Field("IMAGENET1K_V1", description="torchvision's name of the weights, without a `path`")
    path: str = Field("", description="your own checkpoint; empty: torchvision's weights")
    size: fields.Size = 224
    crop: fields.Crop = 0.875
    interpolation: _images.Interpolation = "bilinear"


class Pair(_pretrained.Split):
    """A classifier; images (n, 3, h, w) of 0 to 255 to features, and to logits of classes or of 16 categories."""

    categories: torch.Tensor

    def __init__(self, net: nn.Module, classes: int, *, mapped: bool) -> None:
        super().__init__(net, classes, _pretrained.IMAGENET_MEAN, _pretrained.IMAGENET_STD)
        self.mapped = mapped
        self.register_buffer("categories", shares(), persistent=False)

    def predict(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, d) and logits (n, classes or 16)."""
        features = self.features(x)
        logits = self.head(features)
        return features, self._means(logits) if self.mapped else logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes or 16)."""
        return self.predict(x)[1]

    def _means(self, logits: torch.Tensor) -> torch.Tensor:
        means = torch.softmax(logits.double(), dim=1) @ self.categories
        return means.clamp(min=torch.finfo(means.dtype).tiny).log()

    def adopt(self, state: nets.State) -> nets.State:
        """A released state dict under this module's names; see the file's docstring."""
        return super().adopt(uncut(state))


def shares() -> torch.Tensor:
    """Share of each class in each category's mean, float64 (1000, 16)."""
    indicator = torch.zeros(CLASSES, len(texture_vs_shape.CLASSES), dtype=torch.float64)
    with Path(__file__).with_name(ASSETS[0]).open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            indicator[int(row["class"]), texture_vs_shape.CLASSES.index(row["category"])] = 1
    return indicator / indicator.sum(0)


def uncut(state: nets.State) -> nets.State:
    """The tensors of a checkpoint under torchvision's names, without auxiliary classifiers.

    Raises:
        ModelError: the checkpoint normalises by another mean or deviation than ImageNet's.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    if any(name.startswith("model.") for name in tensors):
        for name, expected in (
            ("normalizer.new_mean", _pretrained.IMAGENET_MEAN),
            ("normalizer.new_std", _pretrained.IMAGENET_STD),
        ):
            buffer = tensors.get(name)
            if buffer is not None and not np.allclose(buffer.flatten().numpy(), expected, atol=1e-4):
                raise ModelError(
                    f"imagenet_pair: the checkpoint's {name} is {buffer.flatten().tolist()}, expected "
                    f"{list(expected)}; it is of another dataset"
                )
        tensors = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if name.startswith("model.")}
    renamed = {
        name.replace("last_layer.", "classifier.6.").replace("branch4_conv.", "branch4.1."): tensor
        for name, tensor in tensors.items()
    }
    return {name: tensor for name, tensor in renamed.items() if not name.startswith(("aux1.", "aux2."))}


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights: with 1000 classes where 16 are asked for, else with as many as asked for.

    Raises:
        ModelError: another model.
    """
    if params["name"] not in NAMES:
        raise ModelError(f"imagenet_pair: name is {params['name']!r}; {suggest(params['name'], NAMES)}")
    mapped = classes == len(texture_vs_shape.CLASSES)
    outputs = CLASSES if mapped else classes
    return Pair(_fresh(params["name"], outputs, robust=params["robust"]), outputs, mapped=mapped)


def _fresh(name: str, classes: int, *, robust: bool) -> nn.Module:
    from torchvision import models

    options = {"weights": None, "num_classes": classes}
    if name == "googlenet":
        options |= {"aux_logits": False, "transform_input": not robust, "init_weights": False}
    model: nn.Module = models.get_model(name, **options)
    return model


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict of the user's checkpoint, or the one that torchvision downloads.

    Raises:
        ModelError: a robust model without a checkpoint; torchvision has none.
    """
    from torchvision import models

    if params["path"]:
        file = Path(params["path"]).expanduser()
        with _foreign.reading(file, "checkpoint"):
            return nets.read_state(file)
    if params["robust"]:
        raise ModelError(f"imagenet_pair: give the robust {params['name']} a `path:`")
    state: nets.State = models.get_model(params["name"], weights=params["weights"]).state_dict()
    return state


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 3, size, size): the shorter side to size / crop, then the middle square."""
    return _pretrained.prepare_batch(samples, params)
