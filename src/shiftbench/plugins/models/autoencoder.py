"""Small convolutional autoencoder for 28 px grey images: a code of 32 numbers, and a linear head on it.

`features` is the code, `decode` makes images of codes; `apart` adds what the code does not hold, so that an image
becomes itself. The head is there because every model has one: `autoencoding` trains it on codes that do not know of it.

Source: Hinton and Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006; two strided
convolutions and their transposes, widths ours.
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
    width: int = Field(12, ge=1, description="channels of the first convolution; the second has twice as many")
    size: fields.Size = 28
    code: int = Field(32, ge=1, description="numbers of a code")


class Autoencoder(nn.Module):
    """Images (n, 1, size, size) in 0..255, uint8 or float, to codes (n, code), logits, and images again."""

    def __init__(self, width: int, size: int, code: int, classes: int) -> None:
        super().__init__()
        quarter, channels = -(-size // 4), 2 * width
        self.size = size
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, channels, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(channels * quarter**2, code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, channels * quarter**2), nn.ReLU(),
            nn.Unflatten(1, (channels, quarter, quarter)),
            nn.ConvTranspose2d(channels, width, 4, 2, 1), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Sigmoid(),
        )  # fmt: skip
        self.head = nn.Linear(code, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Codes (n, code)."""
        codes: torch.Tensor = self.encoder(x.float() / 255)
        return codes

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Images float32 (n, 1, size, size) in 0 to 255."""
        images: torch.Tensor = 255 * self.decoder(codes)[..., : self.size, : self.size]
        return images

    def apart(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and what they do not hold: `decode(code) + rest` is the image."""
        codes = self.features(x)
        return codes, x.float() - self.decode(codes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator."""
    return Autoencoder(params["width"], params["size"], params["code"], classes)


def of(state: nets.State, where: object, size: int = 28) -> Autoencoder:
    """The network that a state dict belongs to, on the CPU in evaluation mode; widths follow from the tensors.

    Raises:
        ModelError: these are the weights of another model, or of other images than `size` px.
    """
    code, width = state.get("encoder.5.bias"), state.get("encoder.0.bias")
    classes = state.get("head.bias")
    shapes = [0 if tensor is None else len(tensor) for tensor in (width, code, classes)]
    network = Autoencoder(max(1, shapes[0]), size, max(1, shapes[1]), max(1, shapes[2]))
    nets.load_into(network, state, str(where))
    return network.eval()


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 1, size, size)."""
    return _images.grey_batch(samples, params["size"])
