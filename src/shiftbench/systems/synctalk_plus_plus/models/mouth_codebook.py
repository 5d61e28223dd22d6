"""A mouth out of a codebook: a GRU says, for every 8 frames, which of 64 learned snippets of motion they are.

Snippets are the centres of k-means over the training motions, so that whatever is said of them lies among what was
seen. A snippet is chosen when its 8 frames have been heard, each with its window of sound, and follows the one before
without blending.

Source: a reconstruction: SyncTalk++ (arXiv:2506.14742) has an Expression Generator over a discrete codebook, whose
architecture and losses were not found. Codes are those of van den Oord et al. 2017 without a learned encoder.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.plugins import declare
from shiftbench.systems.synctalk_plus_plus.models import _mel, _moving

TASK = "audio_visual"
SNIPPET = 8  # frames
predictor = _moving.MotionPredictor


class Options(declare.Options):
    bands: _mel.Bands = 20
    hidden: int = Field(64, ge=1, description="numbers of the GRU's state")
    normalise: _mel.Normalise = True
    codes: int = Field(64, ge=1, description="snippets of the codebook")


class Codebook(nn.Module):
    """Windows of sound -> a code for every 8 frames -> motion."""

    codes: torch.Tensor

    def __init__(self, bands: int, hidden: int, codes: int) -> None:
        super().__init__()
        self.enter = nn.Linear(bands * _mel.WINDOW, hidden)
        self.memory = nn.GRU(hidden, hidden, batch_first=True)
        self.leave = nn.Linear(hidden, codes)
        self.register_buffer("codes", torch.zeros(codes, SNIPPET, _moving.VALUES))

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Map float32 (n, t, 16, bands), t a multiple of 8, to the codes' logits (n, t / 8, codes)."""
        states, _ = self.memory(torch.relu(self.enter(audio.flatten(2))))
        logits: torch.Tensor = self.leave(states[:, SNIPPET - 1 :: SNIPPET])
        return logits

    def move(self, audio: torch.Tensor) -> torch.Tensor:
        """Map float32 (t, 16, bands) to (t, 5); the last frames stand for those that lack to a whole snippet."""
        count = len(audio)
        padded = torch.cat([audio, audio[-1:].expand(-count % SNIPPET, -1, -1)])
        codes = self(padded[None])[0].argmax(dim=1)
        return self.codes[codes].flatten(0, 1)[:count]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The untrained model; its codes are empty until they are learned."""
    return Codebook(params["bands"], params["hidden"], params["codes"])
