"""Predictor that moves a face to a sound, around a model with `move`; helper of the models."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.evaluation import nets
from shiftbench.plugins.models._boxes import ragged
from shiftbench.plugins.models._placed import PlacedNet
from shiftbench.systems.synctalk_plus_plus.models import _mel

VALUES = 5
"""Openness and width of the mouth, brow, lids, cheeks: as the dataset `espeak_sentences` has them."""


def audio_features(sample: Sample, params: Mapping[str, Any]) -> torch.Tensor:
    """Audio input of a model at each frame of a clip, float32 (t, 16, bands): neighbouring bands are averaged."""
    windows = _mel.windows(sample.fields["audio"], frames.count(sample), normalise=params["normalise"])
    pooled = windows.reshape(*windows.shape[:2], params["bands"], -1).mean(axis=3)
    return torch.from_numpy(pooled)


class MotionPredictor(PlacedNet):
    """A model that moves a face, with its weights; the output is `motion` of the task, in 0 to 1.

    The model has `move(audio float32 (t, 16, bands)) -> (t, 5)`; it computes in float32.
    """

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Move a face to each clip."""
        with torch.inference_mode():
            motions = [self.net.move(audio_features(one, self.params).to(self.device)) for one in samples]
        return {"motion": ragged([nets.to_numpy(one.clamp(0, 1)) for one in motions])}
