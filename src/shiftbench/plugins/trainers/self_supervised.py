"""Self-supervised pre-training: two views of each image, no label; eight methods under one loop.

`method` is one of simclr, moco_v3, byol, dino, ressl, nnclr, vicreg, barlow_twins; entries of the last seven names have
the options of their own. Defaults are SimCLR's of "Evaluating Self-Supervised Learning in Medical Imaging" (KarahanS/
Self-Supervised-Learning-for-Medical-Image-Analysis, scripts/pretrain/medmnist), a fork of solo-learn.

| option | of | is |
| --- | --- | --- |
| `hidden`, `projection`, `predicted` | all | widths of projector and predictor (`_self_supervised.py`) |
| `temperature` | simclr, moco_v3, nnclr | of the softmax over cosines |
| `momentum` | moco_v3, byol, dino, ressl | of the target, first and last (`_ema.py`) |
| `temperatures` | ressl | of the views and of the targets |
| `queue` | ressl, nnclr | points that are kept |
| `prototypes`, `norm_prototypes` | dino | their number, and whether all are of length 1 |
| `teacher_t` | dino | temperature of the teacher: the first, the last, epochs from one to the other |
| `weights` | vicreg | of invariance, variance and covariance |
| `redundancy`, `scale` | barlow_twins | weight of the off-diagonal, factor of the whole |
| `views` | all | one rule, or one for each view (`_two_views.py`) |
| `learnt_from`, `start` | all | weights to begin with, but for their head, as in `new_head`; empty: fresh ones |

The network's `head` stays as it was drawn: for a probe to replace. The log has as `val_accuracy` the share of val views
whose projection finds that of the other view among all of a batch, and as `spread` the mean standard deviation over a
batch of the projections' coordinates, of length 1 and times the root of their number: near 1 for points all over the
sphere, 0 where all have collapsed to one.

Source: the papers of the losses. Differs from solo-learn: no classifier is trained beside, batches are equally large
instead of dropping the rest, norms and biases are not decayed (`optimizers/adamw.py`), and of ReSSL the strong view
alone goes through the student, the weak one through the target.
"""

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _two_views
from shiftbench.plugins.trainers._self_supervised import Learner

TITLE = "self-supervision"
TASKS = ("classification",)
STRONG: dict[str, object] = {"crop": [0.08, 1.0], "jitter": [0.4, 0.4, 0.2, 0.1]}
PARAMS: dict[str, object] = {
    "method": "simclr",
    "epochs": 400,
    "batch_size": 256,
    "optimizer": "adamw",
    "lr": 3e-4,
    "weight_decay": 0.05,
    "schedule": "warmup_cosine",
    "warmup": 0.025,
    "hidden": 4096,
    "projection": 512,
    "predicted": 4096,
    "temperature": 0.2,
    "momentum": [0.99, 1.0],
    "temperatures": [0.1, 0.04],
    "queue": 65536,
    "prototypes": 4096,
    "norm_prototypes": True,
    "teacher_t": [0.04, 0.07, 50],
    "weights": [25.0, 25.0, 1.0],
    "redundancy": 0.0051,
    "scale": 0.1,
    "views": [{**STRONG, "blur_share": 1.0}, {**STRONG, "blur_share": 0.1, "solarise_share": 0.2}],
    "learnt_from": "",
    "start": "",
}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the weights to begin with."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    learnt_from, start = params["learnt_from"], params["start"]
    if bool(learnt_from) != bool(start):
        raise ParamsError(f"self_supervised: learnt_from is {learnt_from!r} and start {start!r}; give both or none")
    return [*shards, refs.checkpoint(learnt_from, params["model"], start, 0)] if start else shards


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch, without what was learnt besides."""
    rules = _two_views.rules(job.params["views"])
    per_epoch = -(-_loop.count(job, "train") // job.params["batch_size"])
    learner = Learner(begun(job), job.params, job.params["epochs"] * per_epoch, per_epoch)

    def views(batch: npt.NDArray[Any], rng: RandomStream) -> tuple[torch.Tensor, torch.Tensor]:
        images = _loop.tensor(batch, learner)
        return _two_views.view(images, rng, rules[0]), _two_views.view(images, rng, rules[1])

    def loss(
        network: torch.nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream
    ) -> torch.Tensor:
        return learner.loss(*views(batch, rng))

    def between(network: torch.nn.Module, rng: RandomStream) -> None:
        learner.held()

    held = _loop.inputs(job, "val")[0][: job.params["batch_size"]]

    def places() -> tuple[torch.Tensor, torch.Tensor]:
        learner.eval()
        with torch.inference_mode():
            pair = views(held, RandomStream(job.seed, job.trainer, job.dataset, "val"))
            one, other = (F.normalize(learner.online(view), dim=1) for view in pair)
        return one, other

    def twins(network: torch.nn.Module) -> float:
        one, other = places()
        own = torch.arange(len(one), device=one.device)
        return float((one @ other.T).argmax(1).eq(own).double().mean())

    _loop.fit(job, learner, loss, between=between, validate=twins)
    job.log(0, "spread", spread(places()[0]))
    return dict(learner.online.net.state_dict())


def begun(job: TrainJob) -> torch.nn.Module:
    """The job's network, with the weights of `start`, but for their head, where it names some."""
    network = _loop.fresh_net(job)
    for ref, path in job.inputs.items():
        if ref.kind == "checkpoints":
            own = {name: value for name, value in network.state_dict().items() if name.startswith("head.")}
            nets.load_into(network, {**nets.read_state(path), **own}, path)
    return network


def spread(points: torch.Tensor) -> float:
    """Spread of points of length 1, (n, d): 0 if all are one point, about 1 if they cover the sphere.

    Example:
        >>> spread(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        0.0
    """
    return float(points.std(0, correction=0).mean() * points.shape[1] ** 0.5)
