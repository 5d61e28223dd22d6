"""No model: the features of an image are its pixels, which is what any encoder should beat.

Source: none; the linear classifier of pixels is that of LeCun et al. 1998, doi:10.1109/5.726791, section III.C.1.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    size: fields.Size = 28


class Pixels(nn.Module):
    """Images uint8 (n, 1, size, size) to their values in -1..1, (n, size x size), and logits."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(size * size, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The pixels (n, d)."""
        return x.float().flatten(1) / 127.5 - 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The head with fresh weights from torch's generator."""
    return Pixels(params["size"], classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
