"""A network of modalities seen through one of them."""

from typing import Any

import torch
from torch import nn


class Alone(nn.Module):
    """A network of `models/_modal.py`: `predict` gives one modality's features and what its own head says."""

    def __init__(self, model: Any, modality: str) -> None:
        super().__init__()
        self.net, self.place = model, model.names.index(modality)

    def predict(self, x: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (n, width) and logits (n, classes)."""
        features = self.net.features(x)
        return self.net.slices(features)[self.place], self.net.alone(features)[self.place]
