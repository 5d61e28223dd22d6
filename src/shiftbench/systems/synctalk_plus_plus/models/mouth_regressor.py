"""A mouth straight from the sound: an MLP from a window of 16 mel frames to five values of the face, frame by frame.

With `linear: true` and `bands: 1` it knows the loudness alone.

Source: ours, the direct baseline; what is heard is ZiqiaoPeng/SyncTalk's (`_mel.py`). There an encoder trained for
sync and a renderer follow.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins import declare
from shiftbench.systems.synctalk_plus_plus.models import _mel, _moving

TASK = "audio_visual"
predictor = _moving.MotionPredictor


class Options(declare.Options):
    bands: _mel.Bands = 20
    hidden: int = Field(64, ge=1, description="units of each hidden layer")
    linear: bool = Field(False, description="leave the hidden layers out")
    normalise: _mel.Normalise = False


class Regressor(nn.Module):
    """A window of sound -> five values."""

    def __init__(self, bands: int, hidden: int, *, linear: bool) -> None:
        super().__init__()
        inputs = bands * _mel.WINDOW
        first = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
        last = nn.Linear(inputs if linear else hidden, _moving.VALUES)
        self.layers = nn.Sequential(*(() if linear else first), last)

    def move(self, audio: torch.Tensor) -> torch.Tensor:
        """Map float32 (t, 16, bands) to (t, 5)."""
        values: torch.Tensor = self.layers(audio.flatten(1))
        return values


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The untrained model."""
    return Regressor(params["bands"], params["hidden"], linear=params["linear"])
