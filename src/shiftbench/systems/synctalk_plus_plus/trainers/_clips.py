"""Clips to learn from: what is heard at each frame and what the face does there, and batches in random order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import frames
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.shifts.audio import audio_gain, audio_noise
from shiftbench.systems.synctalk_plus_plus.models import _moving

Copies = Annotated[int, Field(ge=0, description="copies of each training clip with noise and at a lower gain")]
AUGMENTING = {"audio_noise": audio_noise, "audio_gain": audio_gain}


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: audio float32 (t, 16, bands), truth float32 (t, 5)."""

    audio: torch.Tensor
    truth: torch.Tensor


def clips(job: TrainJob, samples: Iterable[Sample]) -> list[Clip]:
    """Samples as clips, as the job's model hears them."""
    return [
        Clip(
            _moving.audio_features(sample, job.model_params),
            torch.from_numpy(frames.targets(sample).astype(np.float32)),
        )
        for sample in samples
    ]


def augmented(job: TrainJob, samples: list[Sample], copies: int) -> Iterator[Sample]:
    """Yield samples and, of each, so many copies with noise and at a gain, both of a severity drawn from 0 to 5."""
    yield from samples
    for copy in range(copies):
        for sample in samples:
            key, wave = f"{sample.key}/{copy}", sample.fields["audio"]
            severities = 5 * RandomStream(job.seed, job.trainer, job.dataset, key).uniform(2)
            for (name, shift), severity in zip(AUGMENTING.items(), severities.tolist(), strict=True):
                wave = shift.apply(wave, severity, RandomStream(job.seed, name, job.dataset, key))
            yield sample.with_field("audio", wave)


def turns(job: TrainJob, count: int, size: int, steps: int) -> Iterator[np.ndarray]:
    """Yield the rows of `steps` batches, int64 (size,), out of shuffled passes over `count` rows."""
    rows = np.zeros(0, np.int64)
    for turn in range(steps):
        while len(rows) < size:
            rng = RandomStream(job.seed, job.trainer, job.dataset, f"order/{turn}/{len(rows)}")
            rows = np.concatenate([rows, rng.choice(count)])
        yield rows[:size]
        rows = rows[size:]
