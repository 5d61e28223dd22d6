"""Training by a number of steps, from scratch or from another checkpoint: a generalist, and models tuned from it.

    trainers:
      generalist: {use: stepped, steps: 400, lr: 0.003, mixture: 0.7}
      tuned: {use: stepped, start: few/strided_convnet-generalist, steps: 500, lr: 0.001}

`shift` and `flip` are the augmentation of fine-tuning. The order of images depends on the seed, not on the options, so
that two tunings of one seed see the same batches.

`mixture` applies a random mixture of shifts up to that strength, each shift with probability `mixture_share`. Each
image is turned, moved, blurred, changed in contrast and given noise, with a strength for each shift, uniform from 0 to
`mixture`. Strength 1 means a turn of 30 degrees, a move by a quarter of the side, only the blurred image (two passes
of 3 x 3 pixels), a tenth of the contrast, and noise with a deviation of 0.4 of white.

Source: Wortsman et al., CVPR 2022, arXiv:2109.01903 (fine-tuning of all parameters from the zero-shot model). The
generalist and the mixture are ours: the generalist, trained on few labelled images, replaces a model trained on other
data. Some tested shifts are of the same kinds as those of the mixture, with other constants, random numbers and code.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop, _steps, erm

TASKS = ("classification",)
needs = _steps.needs
DEGREES, SIDE, CONTRAST, NOISE = 30.0, 0.25, 0.1, 0.4
"""Of the mixture at strength 1: degrees, share of the side, share of the contrast, share of white."""
WHITE = 255.0


class Options(declare.Options):
    start: _steps.Start = ""
    steps: _steps.Steps = 400
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.003
    weight_decay: fields.WeightDecay = 0.01
    schedule: fields.Schedule = "one_cycle"
    mixture: float = Field(0.0, ge=0, le=1, description="largest strength of a random mixture of shifts; 0: none")
    mixture_share: float = Field(0.4, ge=0, le=1, description="probability of each shift of the mixture")
    shift: fields.Shift = 0
    flip: fields.Flip = False
    extra_share: _steps.ExtraShare = 0.0


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict after the last step.

    Raises:
        ParamsError: `mixture` is outside 0 to 1.
    """
    params = job.params
    if not 0 <= params["mixture"] <= 1:
        raise ParamsError(f"{job.trainer}: mixture is {params['mixture']:g}; expected 0 to 1")
    images, labels = _loop.data(job, "train")
    model, number = _steps.begun(job), iter(range(params["steps"]))

    def loss(rows: list[int]) -> torch.Tensor:
        words = RandomStream(job.seed, job.trainer, job.dataset, f"step/{next(number)}")
        batch = augmented(images[rows], words, job)
        device = next(model.parameters()).device
        return cross_entropy(model(batch.to(device)), labels[rows].to(device), 0.0)

    _steps.fit(job, model, _steps.mixed(job, range(len(labels)), ()), loss, logged=100)
    val, val_labels = _loop.data(job, "val")
    job.log(params["steps"], "val_accuracy", _loop.accuracy(model, val, val_labels))
    return dict(model.state_dict())


def augmented(batch: npt.NDArray[np.uint8], words: RandomStream, job: TrainJob) -> torch.Tensor:
    """A training batch after augmentation, float32 (n, c, h, w)."""
    shifted = erm.move(batch, words, job.params["shift"], flip=job.params["flip"])
    return mixture(shifted, words, job.params["mixture"], job.params["mixture_share"])


def mixture(batch: npt.NDArray[np.uint8], words: RandomStream, most: float, share: float = 1.0) -> torch.Tensor:
    """Shifted images, float32 (n, c, h, w) in 0 to 255.

    Args:
        batch: uint8 (n, c, h, w).
        words: random words of this step.
        most: largest strength, 0 to 1; 0 changes nothing.
        share: probability of each shift.
    """
    images = torch.from_numpy(np.ascontiguousarray(batch)).float()
    if not most:
        return images
    count = len(images)
    is_shifted = words.uniform((5, count)) < share
    strength = torch.from_numpy(most * words.uniform((5, count)) * is_shifted)
    sign = torch.from_numpy(np.where(words.uniform((3, count)) < 0.5, -1.0, 1.0)).float()
    images = _turned_and_moved(images, DEGREES * strength[0] * sign[0], SIDE * strength[1] * sign[1:])
    each = [one.reshape(-1, 1, 1, 1) for one in strength]
    images = (1 - each[2]) * images + each[2] * _blurred(images)
    factor = 1 - (1 - CONTRAST) * each[3]
    images = images.mean((1, 2, 3), keepdim=True) * (1 - factor) + images * factor
    noise = torch.from_numpy(words.normal(tuple(images.shape)))
    noisy: torch.Tensor = (images + WHITE * NOISE * each[4] * noise).clamp(0, WHITE)
    return noisy


def _turned_and_moved(images: torch.Tensor, degrees: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Images turned by degrees (n,) and moved by shares of the side (2, n), the border repeated."""
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([cos, -sin, 2 * shares[0]], 1), torch.stack([sin, cos, 2 * shares[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _blurred(images: torch.Tensor) -> torch.Tensor:
    """Images after two means over 3 x 3 pixels, the border repeated."""
    for _ in range(2):
        images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return images
