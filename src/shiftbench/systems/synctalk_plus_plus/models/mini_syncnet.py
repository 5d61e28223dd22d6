"""A small judge of lip sync: sound and mouth are mapped to one space, where what belongs together is near.

A window of 16 mel frames (0.2 s) and the mouth of 5 frames (openness and width; as long) become unit vectors of 64
values. The distance at offset o is the mean over a clip's windows of the distance between the mouth at frame i and
the sound at i + o, over those i for which both are there, for o from -10 to 10. As a model it judges the true mouths;
the method `sync_judge` has it judge a model's.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, and
joonson/syncnet_python: 5 frames, distances over offsets, their least value (LSE-D), its distance to the median
(LSE-C). Differs: two small encoders, of mouth curves instead of pictures; there what lies beyond the ends counts as
zero vectors, and an offset has the other sign: here it is above 0 where the sound is late.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models._boxes import ragged
from shiftbench.plugins.models._placed import PlacedNet
from shiftbench.systems.synctalk_plus_plus.models import _mel

TASK = "audio_visual"
SPAN = 5  # frames of a mouth
MOUTH = 2  # values of it: the first of a motion
OFFSETS = 10


class Options(declare.Options):
    width: int = Field(64, ge=1, description="channels of the encoders")


class MiniSyncNet(nn.Module):
    """Two encoders of three layers, and how a cosine becomes the logit of `in sync`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sound = nn.Sequential(
            *(nn.Conv2d(1, 8, 5, stride=(2, 4), padding=2), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(16 * 4 * 10, width)),
        )
        self.mouth = nn.Sequential(
            *(nn.Flatten(), nn.Linear(SPAN * MOUTH, 64), nn.ReLU()),
            *(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, width)),
        )
        self.scale, self.bias = nn.Parameter(torch.tensor(5.0)), nn.Parameter(torch.tensor(0.0))

    def of_sound(self, windows: torch.Tensor) -> torch.Tensor:
        """Map float32 (n, 16, 80) to unit vectors (n, width)."""
        return F.normalize(self.sound(windows[:, None]), dim=1)

    def of_mouth(self, mouths: torch.Tensor) -> torch.Tensor:
        """Map float32 (n, 5, 2) to unit vectors (n, width)."""
        return F.normalize(self.mouth(mouths), dim=1)

    def forward(self, windows: torch.Tensor, mouths: torch.Tensor) -> torch.Tensor:
        """The logits that pairs are in sync, (n,)."""
        cosine = (self.of_sound(windows) * self.of_mouth(mouths)).sum(dim=1)
        return self.scale * cosine + self.bias


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The untrained model."""
    return MiniSyncNet(params["width"])


def audio_windows(sample: Sample) -> torch.Tensor:
    """Audio input of a judge at each frame of a clip, float32 (t, 16, 80), normalised over the clip."""
    wave, count = sample.fields["audio"], frames.count(sample)
    return torch.from_numpy(_mel.windows(wave, count, normalise=True))


def mouths(motion: NDArray[np.floating[Any]]) -> torch.Tensor:
    """All windows of five frames of a motion (t, 2 or more), float32 (t - 4, 5, 2)."""
    spans = np.lib.stride_tricks.sliding_window_view(motion[:, :MOUTH], SPAN, axis=0)
    return torch.from_numpy(spans.transpose(0, 2, 1).astype(np.float32))


class Judge(PlacedNet):
    """The model with its weights: clips -> distances of sound and mouth over offsets; it computes in float32."""

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Judge the true mouths of clips.

        Raises:
            ModelError: a clip without targets.
        """
        without_targets = [sample.key for sample in samples if "targets" not in sample.fields]
        if without_targets:
            raise ModelError(f"{without_targets[0]} has no targets, so no mouth to judge; use the method `sync_judge`")
        return {"sync": ragged([self.curve(one, frames.targets(one)) for one in samples])}

    def curve(self, sample: Sample, motion: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """The mean distance of a clip's sound and a motion at offsets -10 to 10, float64 (21,).

        Raises:
            ModelError: a clip that is too short for the largest offset.
        """
        if len(motion) < SPAN + OFFSETS:
            raise ModelError(
                f"{sample.key} has {len(motion)} frames; a judge of offsets to {OFFSETS} needs {SPAN + OFFSETS}"
            )
        with torch.inference_mode():
            sound = self.net.of_sound(audio_windows(sample).to(self.device))
            mouth = self.net.of_mouth(mouths(motion).to(self.device))
            distances = nets.to_numpy(torch.cdist(mouth, sound)).astype(np.float64)
        return np.array([np.diagonal(distances, o).mean() for o in range(-OFFSETS, OFFSETS + 1)])


predictor = Judge
