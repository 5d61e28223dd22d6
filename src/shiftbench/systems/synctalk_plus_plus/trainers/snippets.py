"""A codebook of motions, and a model that says which: k-means over snippets, cross-entropy of the nearest code.

Clips are cut into snippets from a frame that is drawn for each batch, so that codes do not learn where a clip begins.

Source: a reconstruction, see `models/mouth_codebook.py`; k-means by scikit-learn (Lloyd, one k-means++ start of the
seed).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs, rng
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _steps
from shiftbench.systems.synctalk_plus_plus.models.mouth_codebook import SNIPPET
from shiftbench.systems.synctalk_plus_plus.trainers import _clips

TASKS = ("audio_visual",)
LOGGED = 100


class Options(declare.Options):
    steps: _steps.Steps = 600
    batch_size: int = Field(16, ge=1, description="clips of a batch")
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.005
    weight_decay: fields.WeightDecay = 1e-4
    copies: _clips.Copies = 0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step; logs cross-entropy on training snippets and on val.

    Raises:
        ParamsError: fewer snippets than codes.
    """
    params, device = job.params, nets.pick_device(job.device)
    samples = job.samples("train")
    model: Any = _steps.begun(job)
    model.codes.copy_(codebook(job, len(model.codes)))
    train_clips = _clips.clips(job, _clips.augmented(job, samples, params["copies"]))
    _steps.fit(job, model, _random_batches(job, train_clips), lambda batch: _loss(model, *batch, device), LOGGED)
    val_clips = _clips.clips(job, job.samples("val"))
    if val_clips:
        with torch.inference_mode():
            job.log(params["steps"], "val_loss", float(_loss(model.eval(), val_clips, 0, device)))
    return dict(model.state_dict())


def _random_batches(job: TrainJob, clips: list[_clips.Clip]) -> Iterator[tuple[list[_clips.Clip], int]]:
    """Yield `steps` batches of clips, each with the frame from which they are cut."""
    size, steps = job.params["batch_size"], job.params["steps"]
    for step, rows in enumerate(_clips.turns(job, len(clips), size, steps), 1):
        words = RandomStream(job.seed, job.trainer, job.dataset, f"first/{step}")
        yield [clips[row] for row in rows], int(words.integers(0, SNIPPET))


def codebook(job: TrainJob, count: int) -> torch.Tensor:
    """The centres of the training snippets, float32 (count, 8, 5).

    Raises:
        ParamsError: there are fewer snippets.
    """
    from sklearn.cluster import KMeans

    truths = [clip.truth.numpy() for clip in _clips.clips(job, job.samples("train"))]
    points = np.concatenate([snippets(truth)[::2] for truth in truths])
    if len(points) < count:
        raise ParamsError(f"snippets: {len(points)} snippets for {count} codes; take more clips or fewer codes")
    seed = rng.derive(job.seed, job.dataset, "codes") % (1 << 32)
    centres = KMeans(count, n_init=1, max_iter=50, random_state=seed).fit(points).cluster_centers_
    return torch.from_numpy(centres.reshape(count, SNIPPET, -1).astype(np.float32))


def snippets(motion: np.ndarray) -> np.ndarray:
    """All windows of 8 frames of a motion (t, d), float (t - 7, 8 d)."""
    spans = np.lib.stride_tricks.sliding_window_view(motion, SNIPPET, axis=0)
    return spans.transpose(0, 2, 1).reshape(len(spans), -1)


def _loss(model: Any, clips: list[_clips.Clip], first: int, device: torch.device) -> torch.Tensor:
    """The mean cross-entropy of the nearest codes of clips that are cut into snippets from frame `first` on."""
    pieces = [
        (clip.audio[first:][:size], clip.truth[first:][:size])
        for clip in clips
        if (size := (len(clip.truth) - first) // SNIPPET * SNIPPET)
    ]
    audio = torch.nn.utils.rnn.pad_sequence([piece_audio for piece_audio, _ in pieces], batch_first=True).to(device)
    logits = model(audio)
    logits_of_clip = [logits[number, : len(truth) // SNIPPET] for number, (_, truth) in enumerate(pieces)]
    motions = torch.cat([truth.unflatten(0, (-1, SNIPPET)).flatten(1) for _, truth in pieces]).to(device)
    nearest = torch.cdist(motions, model.codes.flatten(1)).argmin(dim=1)
    return F.cross_entropy(torch.cat(logits_of_clip), nearest)
