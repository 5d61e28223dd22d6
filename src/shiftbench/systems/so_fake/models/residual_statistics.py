"""The simple baseline: logistic regression on statistics of what two high-pass filters leave of a grey image.

    r1 = image - its mean over 3 x 3,    r2 = r1 - its mean over 3 x 3        pixels in [0, 1]
    of |r1| and |r2|: mean, deviation and maximum over pixels, and the same over means of cells of 4 x 4; logarithms

Decoders blur and noise sharpens, so that such numbers tell many generators; a square is told by cells that differ. It
marks no pixels, and so has no masks.

Source: residuals as in Fridrich and Kodovsky, "Rich Models for Steganalysis of Digital Images", IEEE TIFS 7(3), 2012;
their first-order statistics alone, the choice of these is ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "forgery"
CELL, FLOOR = 4, 1e-3
COUNT = 12


class Options(declare.Options):
    size: fields.Size = 28


class ResidualStatistics(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to features (n, 12) and logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.BatchNorm1d(COUNT, affine=False)
        self.head = nn.Linear(COUNT, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The statistics, scaled, (n, 12)."""
        residual = _high(x.float() / 255)
        statistics = [one for remainder in (residual, _high(residual)) for one in _statistics(remainder.abs())]
        scaled: torch.Tensor = self.scale((torch.stack(statistics, dim=1) + FLOOR).log())
        return scaled

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def _high(x: torch.Tensor) -> torch.Tensor:
    """Difference from the mean over 3 x 3 pixels, edges repeated."""
    return x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def _statistics(x: torch.Tensor) -> list[torch.Tensor]:
    return [
        one
        for values in (x.flatten(1), F.avg_pool2d(x, CELL).flatten(1))
        for one in (values.mean(1), values.std(1), values.amax(1))
    ]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return ResidualStatistics(classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
