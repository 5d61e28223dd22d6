"""Small fully connected variational autoencoder for 28 px grey images: a code of 16 numbers, and a linear head on it.

`features` is the mean of the code, `spread` the logarithm of its variance, `decode` makes images of codes. The head is
there because every model has one: `variational` trains it on codes that do not know of it.

Source: Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014, arXiv:1312.6114, appendix C; widths ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images

TASK = "classification"


class Options(declare.Options):
    width: int = Field(256, ge=1, description="units of the hidden layers")
    size: fields.Size = 28
    code: int = Field(16, ge=1, description="numbers of a code")


class VariationalAutoencoder(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to codes (n, code), logits, and images again."""

    def __init__(self, width: int, size: int, code: int, classes: int) -> None:
        super().__init__()
        self.size = size
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(size**2, width), nn.ReLU())
        self.mean, self.variance = nn.Linear(width, code), nn.Linear(width, code)
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, size**2), nn.Sigmoid())
        self.head = nn.Linear(code, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Means of codes (n, code)."""
        mean: torch.Tensor = self.mean(self.encoder(x.float() / 255))
        return mean

    def spread(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and logarithms of variances of codes, (n, code) each."""
        hidden = self.encoder(x.float() / 255)
        return self.mean(hidden), self.variance(hidden)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Images float32 (n, 1, size, size) in 0 to 255."""
        images: torch.Tensor = 255 * self.decoder(codes)
        return images.reshape(-1, 1, self.size, self.size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model with fresh weights from torch's generator."""
    return VariationalAutoencoder(params["width"], params["size"], params["code"], classes)


def of(state: nets.State, where: object) -> VariationalAutoencoder:
    """The model that a state dict belongs to, on the CPU in evaluation mode; widths follow from the tensors.

    Raises:
        ModelError: these are the weights of another model.
    """
    names = ("encoder.1.bias", "decoder.2.bias", "mean.bias", "head.bias")
    lengths = [len(state[name]) if name in state else 1 for name in names]
    width, pixels, code, classes = (max(1, length) for length in lengths)
    model = VariationalAutoencoder(width, round(pixels**0.5), code, classes)
    nets.load_into(model, state, str(where))
    return model.eval()


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
