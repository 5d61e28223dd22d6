"""Training by a number of steps, from the start or from other weights: a generalist, and nets that are tuned from it.

    trainers:
      generalist: {use: stepped, steps: 400, lr: 0.003, mixture: 0.7}
      tuned: {use: stepped, start: few/strided_convnet-generalist, steps: 500, lr: 0.001}

With `mixture` images are shifted in many ways up to that strength, each way with probability `mixture_share`; with
`shift` they are moved by up to so many pixels, with `flip` half of them are mirrored: the augmentation of fine-tuning.
The order of images depends on the seed, not on the options, so that two tunings of one seed see the same batches.

Source: Wortsman et al., CVPR 2022, arXiv:2109.01903 (fine-tuning of all weights from the zero-shot model); the
generalist, trained on few labelled images, stands for one that was trained on other data, and is ours.
"""

import numpy as np
import numpy.typing as npt
import torch

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop, _steps, erm
from shiftbench.systems.successful_interpolation.trainers import _mixture

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "start": "",
    "steps": 400,
    "batch_size": 64,
    "optimizer": "adamw",
    "lr": 0.003,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "mixture": 0.0,
    "mixture_share": 0.4,
    "shift": 0,
    "flip": False,
    "extra_share": 0.0,
}
needs = _steps.needs


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict after the last step.

    Raises:
        ParamsError: `mixture` is no strength.
    """
    params = job.params
    if not 0 <= params["mixture"] <= 1:
        raise ParamsError(f"{job.trainer}: mixture is {params['mixture']:g}; expected 0 to 1")
    known, labels = _loop.data(job, "train")
    net, number = _steps.begun(job), iter(range(params["steps"]))

    def loss(rows: list[int]) -> torch.Tensor:
        words = RandomStream(job.seed, job.trainer, job.dataset, f"step/{next(number)}")
        seen = augmented(known[rows], words, job)
        device = next(net.parameters()).device
        return cross_entropy(net(seen.to(device)), labels[rows].to(device), 0.0)

    _steps.fit(job, net, _steps.mixed(job, range(len(labels)), ()), loss, logged=100)
    held, right = _loop.data(job, "val")
    job.log(params["steps"], "val_accuracy", _loop.accuracy(net, held, right))
    return dict(net.state_dict())


def augmented(batch: npt.NDArray[np.uint8], words: RandomStream, job: TrainJob) -> torch.Tensor:
    """Return a batch as it is learnt from, float32 (n, c, h, w)."""
    moved = erm.move(batch, words, job.params["shift"], flip=job.params["flip"])
    return _mixture.apply(moved, words, job.params["mixture"], job.params["mixture_share"])
