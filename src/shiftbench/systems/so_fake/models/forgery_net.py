"""Small model for 28 px grey images that tells real, synthetic and tampered ones apart and marks the tampered pixels.

    conv 3x3, 16 - conv 3x3 / 2, 32 - conv 3x3, 32     each with batch norm and ReLU
    classes: a linear layer on mean and maximum over places, side by side
    mask: conv 3x3, 16 - twice as large - conv 3x3, 1

Masks come in pixels of the image, as probabilities; an image of another size than the model's is resized for it, and
its mask back.

Source: ours, instead of So-Fake-R1 and its frozen segmenter (arXiv:2505.18660); the specification's layers.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _boxes, _images
from shiftbench.plugins.models._placed import PlacedNet

TASK = "forgery"


class Options(declare.Options):
    width: int = Field(16, ge=1, description="channels of the first layer")
    size: fields.Size = 28


class ForgeryNet(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features, logits and masks; `size` is even."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        wide = 2 * width
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((1, width, 1), (width, wide, 2), (wide, wide, 1)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * wide, classes)
        self.marker = nn.Sequential(
            nn.Conv2d(wide, width, 3, 1, 1), nn.ReLU(),
            nn.Upsample(scale_factor=2), nn.Conv2d(width, 1, 3, 1, 1),
        )  # fmt: skip

    def both(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, 4 width) and the logits of masks (n, size, size)."""
        maps = self.body(x.float() / 127.5 - 1.0)
        masks: torch.Tensor = self.marker(maps)
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1), masks[:, 0]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, 4 width)."""
        return self.both(x)[0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return ForgeryNet(params["width"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])


class ForgeryPredictor(PlacedNet):
    """The model with its weights; the outputs are those of `tasks/forgery.py`."""

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Prepare and predict."""
        batch = nets.prepare(self.model, samples, self.params)
        with self.computing():
            features, marks = self.net.both(torch.from_numpy(batch).to(self.device))
            logits = self.net.head(features)
        masks = [
            _resized(mask, sample.fields["image"].shape[:2])
            for mask, sample in zip(marks.float().sigmoid().cpu(), samples, strict=True)
        ]
        return {"logits": nets.to_numpy(logits), "features": nets.to_numpy(features), "masks": _boxes.ragged(masks)}


def _resized(mask: torch.Tensor, shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    if tuple(mask.shape) == shape:
        return mask.numpy()
    larger = F.interpolate(mask[None, None], shape, mode="bilinear", align_corners=False)
    return larger[0, 0].numpy()


def predictor(
    net: nn.Module, model: ModuleType, params: Mapping[str, Any], device: str, precision: str
) -> nets.Predictor:
    """The predictor of a model."""
    return ForgeryPredictor(net, model, params, device, precision)
