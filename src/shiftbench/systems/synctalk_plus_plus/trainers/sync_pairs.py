"""Pairs in sync against pairs of one clip that are not: binary cross-entropy of the cosine, for a judge of lip sync.

Half of a batch are a mouth and its sound; of the other half the sound is taken 2 to 10 frames earlier or later in the
same clip, so that a voice tells nothing.

Source: Chung and Zisserman, ACCV workshops 2016 (pairs from within a clip); the loss is that of Prajwal et al., "A
lip sync expert is all you need", ACM Multimedia 2020, section 3.1, with a learned scale instead of a cosine above 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _steps
from shiftbench.systems.synctalk_plus_plus.models import mini_syncnet
from shiftbench.systems.synctalk_plus_plus.trainers import _clips

TASKS = ("audio_visual",)
NEAREST, FARTHEST = 2, mini_syncnet.OFFSETS
LOGGED = 250


class Options(declare.Options):
    steps: _steps.Steps = 1500
    batch_size: int = Field(128, ge=1, description="pairs of a batch")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 1e-4


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step; logs the loss, and the share of right pairs on val."""
    params, device = job.params, nets.pick_device(job.device)
    train_pairs = _Pairs(job.samples("train"), device)
    model: Any = _steps.begun(job)
    _steps.fit(job, model, _random_batches(job, train_pairs), lambda pairs: _loss(model, *pairs), LOGGED)
    val_samples = job.samples("val")
    if val_samples:
        job.log(params["steps"], "val_accuracy", _on_val(job, model.eval(), _Pairs(val_samples, device)))
    return dict(model.state_dict())


def _loss(model: Any, windows: torch.Tensor, mouths: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(model(windows, mouths), right)


def _random_batches(job: TrainJob, pairs: _Pairs) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield `steps` batches of sounds, mouths, and whether they belong together."""
    size, steps = job.params["batch_size"], job.params["steps"]
    for step, rows in enumerate(_clips.turns(job, len(pairs), size, steps), 1):
        words = RandomStream(job.seed, job.trainer, job.dataset, f"offsets/{step}")
        yield pairs.batch(rows, words)


class _Pairs:
    """All mouths of some clips, each with the number of its sound, and where its clip begins and ends."""

    def __init__(self, samples: list[Sample], device: torch.device) -> None:
        windows = [mini_syncnet.audio_windows(sample) for sample in samples]
        mouths = [mini_syncnet.mouths(frames.targets(sample)) for sample in samples]
        self.windows, self.mouths = torch.cat(windows).to(device), torch.cat(mouths).to(device)
        ends = np.cumsum([len(one) for one in windows])
        counts = [len(one) for one in mouths]
        self.first = np.repeat(ends - [len(one) for one in windows], counts)
        self.last = np.repeat(ends, counts)
        self.own = self.first + np.concatenate([np.arange(count) for count in counts])

    def __len__(self) -> int:
        return len(self.own)

    def batch(self, rows: np.ndarray, rng: RandomStream) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sounds, mouths, and 1 where they belong together: the first half of the rows."""
        distances = rng.integers(NEAREST, FARTHEST + 1, len(rows))
        sign = np.where(rng.uniform(len(rows)) < 0.5, -1, 1)
        right = np.arange(len(rows)) < len(rows) // 2
        shifted = self.own[rows] + distances * sign
        outside = (shifted < self.first[rows]) | (shifted >= self.last[rows])
        shifted = np.where(outside, self.own[rows] - distances * sign, shifted)
        shifted = np.clip(shifted, self.first[rows], self.last[rows] - 1)
        sound = np.where(right, self.own[rows], shifted)
        truth = torch.from_numpy(right.astype(np.float32)).to(self.windows.device)
        return self.windows[sound], self.mouths[rows], truth


def _on_val(job: TrainJob, model: Any, pairs: _Pairs) -> float:
    words = RandomStream(job.seed, job.trainer, job.dataset, "val")
    windows, mouths, right = pairs.batch(words.choice(len(pairs)), words)
    with torch.inference_mode():
        return float(((model(windows, mouths) > 0) == (right > 0)).float().mean())
