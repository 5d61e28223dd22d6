"""Pairs in sync against pairs of one clip that are not: binary cross-entropy of the cosine, for a judge of lip sync.

Half of a batch are a mouth and its sound; of the other half the sound is taken 2 to 10 frames earlier or later in the
same clip, so that a voice tells nothing.

Source: Chung and Zisserman, ACCV workshops 2016 (pairs from within a clip); the loss is that of Prajwal et al., "A
lip sync expert is all you need", ACM Multimedia 2020, section 3.1, with a learnt scale instead of a cosine above 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _steps
from shiftbench.systems.synctalk_plus_plus.models import mini_syncnet
from shiftbench.systems.synctalk_plus_plus.trainers import _clips

TASKS = ("audio_visual",)
PARAMS: dict[str, object] = {
    "steps": 1500,
    "batch_size": 128,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.0001,
}
NEAREST, FARTHEST = 2, mini_syncnet.OFFSETS
LOGGED = 250


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the train and val shards."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last step; logs the loss, and the share of right pairs on val."""
    params, device = job.params, nets.pick_device(job.device)
    known = _Pairs(job.samples("train"), device)
    net: Any = _steps.begun(job)
    _steps.fit(job, net, _drawn(job, known), lambda pairs: _loss(net, *pairs), LOGGED)
    held = job.samples("val")
    if held:
        job.log(params["steps"], "val_accuracy", _on_val(job, net.eval(), _Pairs(held, device)))
    return dict(net.state_dict())


def _loss(net: Any, heard: torch.Tensor, mouths: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return F.binary_cross_entropy_with_logits(net(heard, mouths), right)


def _drawn(job: TrainJob, known: _Pairs) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Yield `steps` batches of sounds, mouths, and whether they belong together."""
    size, steps = job.params["batch_size"], job.params["steps"]
    for step, rows in enumerate(_clips.turns(job, len(known), size, steps), 1):
        words = RandomStream(job.seed, job.trainer, job.dataset, f"offsets/{step}")
        yield known.drawn(rows, words)


class _Pairs:
    """All mouths of some clips, each with the number of its sound, and where its clip begins and ends."""

    def __init__(self, samples: list[Sample], device: torch.device) -> None:
        heard = [mini_syncnet.heard(sample) for sample in samples]
        mouths = [mini_syncnet.mouths(frames.targets(sample)) for sample in samples]
        self.heard, self.mouths = torch.cat(heard).to(device), torch.cat(mouths).to(device)
        ends = np.cumsum([len(one) for one in heard])
        counts = [len(one) for one in mouths]
        self.first = np.repeat(ends - [len(one) for one in heard], counts)
        self.last = np.repeat(ends, counts)
        self.own = self.first + np.concatenate([np.arange(count) for count in counts])

    def __len__(self) -> int:
        return len(self.own)

    def drawn(self, rows: np.ndarray, rng: RandomStream) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return sounds, mouths, and 1 where they belong together: the first half of the rows."""
        far = rng.integers(NEAREST, FARTHEST + 1, len(rows))
        sign = np.where(rng.uniform(len(rows)) < 0.5, -1, 1)
        right = np.arange(len(rows)) < len(rows) // 2
        moved = self.own[rows] + far * sign
        outside = (moved < self.first[rows]) | (moved >= self.last[rows])
        moved = np.where(outside, self.own[rows] - far * sign, moved)
        moved = np.clip(moved, self.first[rows], self.last[rows] - 1)
        sound = np.where(right, self.own[rows], moved)
        truth = torch.from_numpy(right.astype(np.float32)).to(self.heard.device)
        return self.heard[sound], self.mouths[rows], truth


def _on_val(job: TrainJob, net: Any, held: _Pairs) -> float:
    words = RandomStream(job.seed, job.trainer, job.dataset, "val")
    heard, mouths, right = held.drawn(words.choice(len(held)), words)
    with torch.inference_mode():
        return float(((net(heard, mouths) > 0) == (right > 0)).float().mean())
