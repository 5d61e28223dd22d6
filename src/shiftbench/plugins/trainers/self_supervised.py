"""Self-supervised pre-training: two views of each image, no label; eight methods under one loop.

Each method but simclr is also a variant with its own defaults. The defaults here are SimCLR's of "Evaluating
Self-Supervised Learning in Medical Imaging" (KarahanS/Self-Supervised-Learning-for-Medical-Image-Analysis,
scripts/pretrain/medmnist), a fork of solo-learn.

The network's `head` stays as it was drawn: for a probe to replace. The log has as `val_accuracy` the share of val views
whose projection finds that of the other view among all of a batch, and as `spread` the mean standard deviation over a
batch of the projections' coordinates, of length 1 and times the root of their number: near 1 for points all over the
sphere, 0 where all have collapsed to one.

Source: the papers of the losses. Differs from solo-learn: no classifier is trained next to it, batches are equally
large instead of dropping the rest, norms and biases are not decayed (`optimizers/adamw.py`), and of ReSSL the strong
view alone goes through the student, the weak one through the target.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _two_views
from shiftbench.plugins.trainers._self_supervised import Learner

TITLE = "self-supervision"
TASKS = ("classification",)
STRONG: dict[str, object] = {"crop": [0.08, 1.0], "jitter": [0.4, 0.4, 0.2, 0.1]}


class Options(declare.Options):
    method: Literal["simclr", "moco_v3", "byol", "dino", "ressl", "nnclr", "vicreg", "barlow_twins"] = Field(
        "simclr", description="the loss, with its projector and target"
    )
    epochs: fields.Epochs = 400
    batch_size: fields.BatchSize = 256
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 3e-4
    weight_decay: fields.WeightDecay = 0.05
    schedule: fields.Schedule = "warmup_cosine"
    warmup: _loop.Warmup = 0.025
    hidden: int = Field(4096, ge=1, description="width of the projector's hidden layers")
    projection: int = Field(512, ge=1, description="width of the projection")
    predicted: int = Field(4096, ge=1, description="width of the predictor's hidden layer")
    temperature: float = Field(0.2, gt=0, description="of the softmax over cosines, in simclr, moco_v3 and nnclr")
    momentum: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        [0.99, 1.0], description="of the target, first and last, in moco_v3, byol, dino and ressl"
    )
    temperatures: list[Annotated[float, Field(gt=0)]] = Field(
        [0.1, 0.04], description="of the views and of the targets, in ressl"
    )
    queue: int = Field(65536, ge=1, description="number of points that are kept, in ressl and nnclr")
    prototypes: int = Field(4096, ge=1, description="number of prototypes, in dino")
    norm_prototypes: bool = Field(True, description="fix the prototypes' length at 1, in dino")
    teacher_t: list[float] = Field(
        [0.04, 0.07, 50], description="teacher's temperature in dino: first, last, epochs from one to the other"
    )
    weights: list[float] = Field([25.0, 25.0, 1.0], description="of invariance, variance and covariance, in vicreg")
    redundancy: float = Field(0.0051, ge=0, description="weight of the off-diagonal, in barlow_twins")
    scale: float = Field(0.1, gt=0, description="factor of the whole loss, in barlow_twins")
    views: list[dict[str, Any]] = Field(
        [{**STRONG, "blur_share": 1.0}, {**STRONG, "blur_share": 0.1, "solarise_share": 0.2}],
        description="rules of the random views (`_two_views.py`): one rule, or one for each view",
    )
    learnt_from: str = Field("", description="data set that the checkpoint to start from was trained on; empty: none")
    start: str = Field("", description="trainer of the checkpoint to start from, but for its head; empty: none")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the weights to begin with."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    learnt_from, start = params["learnt_from"], params["start"]
    if bool(learnt_from) != bool(start):
        raise ParamsError(f"self_supervised: learnt_from is {learnt_from!r} and start {start!r}; give both or none")
    return [*shards, refs.checkpoint(learnt_from, params["model"], start, 0)] if start else shards


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch, without projector, predictor and target."""
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
