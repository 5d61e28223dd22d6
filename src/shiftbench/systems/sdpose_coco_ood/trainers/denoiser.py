"""A prior for `pose_unet`: it learns to give back pictures from under noise, in one step, without any label.

Each picture is mirrored (1 in 2) and gets noise of its own strength, sigma U(0, 1) in latents of -1
to 1; from this and the time step 999 sigma the U-Net says what was there, under the task of reconstruction. Pictures
are brought to twice the model's input and cut at random, or to its size (1 in 2). The head learns nothing.

Source: the role is that of Stable Diffusion in SDPose, 2025, arXiv:2509.24980 (x0 is predicted, as there); the noise is
that of denoising autoencoders (Vincent et al. 2008).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _steps

TASKS = ("keypoints",)
LAST = 999


class Options(declare.Options):
    steps: _steps.Steps = 900
    batch_size: fields.BatchSize = 8
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.008
    weight_decay: fields.WeightDecay = 1e-4
    schedule: fields.Schedule = "one_cycle"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards."""
    return [refs.shards(params["dataset"], split) for split in ("train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last step.

    Raises:
        ModelError: the model reconstructs nothing.
    """
    model: Any = _steps.begun(job)
    if not hasattr(model, "reconstruct"):
        raise ModelError(f"model {job.model!r} reconstructs nothing; take pose_unet")
    _steps.fit(job, model, _noisy_batches(job, model.crop), lambda batch: loss(model, *batch))
    return dict(model.state_dict())


def _noisy_batches(job: TrainJob, shape: tuple[int, int]) -> Iterator[tuple[torch.Tensor, RandomStream]]:
    """Yield `steps` batches uint8 (n, 3, h, w), each with the words of its noise."""
    device = nets.pick_device(job.device)
    for step, images in enumerate(_batches(job, shape)):
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"noise/{step}")
        yield torch.from_numpy(images).to(device), rng


def loss(model: Any, images: torch.Tensor, rng: RandomStream) -> torch.Tensor:
    """Mean squared error of the reconstruction of noisy latents; at all zeros it is that of the pictures."""
    z = model.latents(images)
    sigma = torch.from_numpy(rng.uniform(len(z))).to(z.device)
    noise = torch.from_numpy(rng.normal(tuple(z.shape))).to(z.device)
    denoised = model.reconstruct(z + sigma[:, None, None, None] * noise, LAST * sigma)
    value: torch.Tensor = ((denoised - z) ** 2).mean()
    return value


def _batches(job: TrainJob, shape: tuple[int, int]) -> Iterator[Any]:
    """Yield `steps` batches uint8 (n, 3, h, w) from shuffled passes."""
    images = [sample.fields["image"] for sample in job.samples("train")]
    order: list[int] = []
    for step in range(job.params["steps"]):
        if len(order) < job.params["batch_size"]:
            words = RandomStream(job.seed, job.trainer, job.dataset, f"order/{step}")
            order += words.choice(len(images)).tolist()
        rows, order = order[: job.params["batch_size"]], order[job.params["batch_size"] :]
        rng = RandomStream(job.seed, job.trainer, job.dataset, f"cut/{step}")
        yield np.stack([_cut(images[row], shape, rng.uniform(4).tolist()) for row in rows])


def _cut(image: Any, shape: tuple[int, int], words: list[float]) -> Any:
    """A picture brought to the model's input, or a piece of it at twice that size, mirrored or not; (3, h, w)."""
    height, width = shape
    if words[3] < 0.5:
        piece = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    else:
        large = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
        top, left = int(words[0] * (height + 1)), int(words[1] * (width + 1))
        piece = large[top : top + height, left : left + width]
    return (piece[:, ::-1] if words[2] < 0.5 else piece).transpose(2, 0, 1)
