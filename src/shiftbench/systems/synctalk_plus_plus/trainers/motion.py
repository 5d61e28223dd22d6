"""Least squares of the face's five values, frame by frame: for models that move a face straight from the sound.

Copies are made by the shifts `audio_noise` and `audio_gain`, drawn again; steps, and frames in a batch, are the same
with and without.

Source: ours, the direct baseline. SyncTalk trains a renderer by the colour of pixels (60,000 steps and 100,000 more
of the lips), which no embedded version can.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _steps
from shiftbench.systems.synctalk_plus_plus.trainers import _clips

TASKS = ("audio_visual",)
LOGGED = 250


class Options(declare.Options):
    steps: _steps.Steps = 1500
    batch_size: int = Field(256, ge=1, description="frames of a batch")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 1e-4
    copies: _clips.Copies = 0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step; logs the error on training frames, and on val at the end."""
    params, device = job.params, nets.pick_device(job.device)
    clips = _clips.clips(job, _clips.augmented(job, job.samples("train"), params["copies"]))
    audio, truth = (torch.cat(parts).to(device) for parts in _split(clips))
    model: Any = _steps.begun(job)
    rows = _clips.turns(job, len(truth), params["batch_size"], params["steps"])
    _steps.fit(job, model, rows, lambda batch: _error(model, audio[batch], truth[batch]), LOGGED)
    job.log(params["steps"], "val_loss", _on_val(job, model.eval(), device))
    return dict(model.state_dict())


def _error(model: Any, audio: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The mean squared error of a model's motion."""
    error: torch.Tensor = (model.move(audio) - truth).square().mean()
    return error


def _split(clips: list[_clips.Clip]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [clip.audio for clip in clips], [clip.truth for clip in clips]


def _on_val(job: TrainJob, model: Any, device: torch.device) -> float:
    clips = _clips.clips(job, job.samples("val"))
    if not clips:
        return float("nan")
    audio, truth = (torch.cat(parts).to(device) for parts in _split(clips))
    with torch.inference_mode():
        return float(_error(model, audio, truth))
