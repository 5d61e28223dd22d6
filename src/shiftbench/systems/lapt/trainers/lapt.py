"""LAPT: context vectors of ID names and of negative labels are learned on mixed features; CLIP stays as it is.

    T     = directions of [V_1..V_M, name, "."] of C ID names, [U_1..U_M, word, "."] of N negative labels
    loss  = CE(s z1 T', y) + w CE(s z2 T', soft label)          (z1, z2: `_mixed_features`)

T is computed again at every step. `mixing: cross_modal` is the released script's (beta 0). V and U begin at
N(0, 0.02^2), or at `The nice` (`init: hand`, with a context of two tokens; without a step that is NegLabel with
`adjectives: nice`). SGD with Nesterov momentum, a cosine per step down to a rate of 1e-6, as in the released
`OodMixupTrainer_idood`. Images are encoded once. The log has the loss that is minimised and the one on unmixed
features, on train and on val, after each epoch: as lam goes to 0 the first falls without the image.

Starts from a model of `neglabel`, which has the negative labels; all are embedded with U and kept. The classes of
`images` are the first negative labels.

Source: Zhang et al., "LAPT: Label-driven Automated Prompt Tuning for OOD Detection with Vision-Language Models", ECCV
2024 (arXiv:2407.08966), section 3 and supplement; YBZh/OpenOOD-VLM (`clip_coop_negprompt`, `oodmixup_trainer`). M = 4
and beta = 0.3 are the supplement's; the released script has 2 and 0, its configuration file 16.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base import refs, rng
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _mixing
from shiftbench.systems.lapt.models import _towers, prompted
from shiftbench.systems.lapt.trainers import _begin, _mixed_features, neglabel

TASKS = ("classification",)
CHOICES = {"prompts": ("dis_aware", "unified"), "mixing": ("both", "cross_modal", "none"), "init": ("normal", "hand")}
READS_SOURCES = True  # the text tower's
DEVIATION = 0.02
LOWEST = 1e-6  # rate at the end


class Options(declare.Options):
    words: str = Field("neglabel", description="trainer whose model has the negative labels")
    images: _begin.Images = ""
    trained: _begin.Trained = 1000
    prompts: Literal["dis_aware", "unified"] = Field(
        "dis_aware", description="own context vectors for negative labels (U), or those of ID names (U = V)"
    )
    mixing: Literal["both", "cross_modal", "none"] = Field(
        "both", description="both terms of the loss, the first alone, or the first on features as they are"
    )
    alpha: float = Field(1.0, gt=0, description="shares of mixed features are drawn from Beta(alpha, alpha)")
    beta: float = Field(0.3, ge=0, description="how much of a soft label is spread over negative labels")
    weight: float = Field(1.0, ge=0, description="w, weight of the second term of the loss")
    init: Literal["normal", "hand"] = Field("normal", description="start of V and U: normal, or the prompt `The nice`")
    epochs: int = Field(10, ge=0, description="passes over the training samples; 0: prompts stay as they begin")
    batch_size: fields.BatchSize = 32
    lr: float = Field(0.01, gt=0, description="learning rate at the start")
    momentum: float = Field(0.9, gt=0, lt=1, description="decay of the running sum of gradients")
    weight_decay: fields.WeightDecay = 1e-5
    scale: _begin.Scale = 0.0
    names: _begin.Names = "classes"


@dataclass(frozen=True, slots=True)
class Features:
    """Directions of images (n, d) and their labels (n,): ID names, then negative labels."""

    z: torch.Tensor
    labels: torch.Tensor


class Prompts(nn.Module):
    """V of ID names and U of negative labels, (M, width) each; with `unified` prompts U is V."""

    def __init__(self, known: torch.Tensor, negative: torch.Tensor | None) -> None:
        super().__init__()
        self.known = nn.Parameter(known)
        self.negative = self.known if negative is None else nn.Parameter(negative)

    def directions(self, tower: _towers.Tower, names: list[str], words: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """T of ID names (C, d) and of negative labels (N, d)."""
        return tower.encode_words(names, self.known), tower.encode_words(words, self.negative)


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoint with the negative labels, and train and val of both kinds of images."""
    checkpoint = refs.checkpoint(params["dataset"], params["model"], params["words"], params["seed"])
    own = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [checkpoint, *own, *_begin.shards_of_images(params, "train", "val")]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict with a head of learned prompts.

    Raises:
        ParamsError: an option that is none of those known, or a context that `init: hand` does not have.
    """
    for option, choices in CHOICES.items():
        if job.params[option] not in choices:
            raise ParamsError(f"lapt: {option} is {job.params[option]!r}; {suggest(job.params[option], choices)}")
    start = _begin.begin(job)
    words = prompted.read(start.model.words)
    prompts = fresh(job, start).to(start.device)
    job.log(0, "parameters", sum(one.numel() for one in prompts.parameters()))
    _fit(job, start, prompts, words[: job.params["trained"]])
    with torch.no_grad():
        known, negatives = prompts.directions(start.tower, start.names, words)
    contexts = torch.stack([prompts.known.detach(), prompts.negative.detach()])
    extra = {"contexts": contexts} if contexts.shape == start.model.contexts.shape else {}
    return start.state(known, negatives, **extra)


def fresh(job: TrainJob, start: _begin.Begin) -> Prompts:
    """The prompts as they begin.

    Raises:
        ParamsError: the model's context is not as long as `The nice`.
    """
    shape = (job.model_params["context"], job.model_params["width"])
    is_unified = job.params["prompts"] == "unified"
    if job.params["init"] == "hand":
        hand = start.tower.context_of(neglabel.CONTEXT)
        if tuple(hand.shape) != shape:
            raise ParamsError(f"lapt: `init: hand` has a context {tuple(hand.shape)}, the model {shape}")
        return Prompts(hand, None if is_unified else hand.clone())
    generator = torch.Generator().manual_seed(rng.derive(job.seed, "lapt", "context"))
    known, negative = (DEVIATION * torch.randn(shape, generator=generator) for _ in range(2))
    return Prompts(known, None if is_unified else negative)


def _fit(job: TrainJob, start: _begin.Begin, prompts: Prompts, words: list[str]) -> None:
    params = job.params
    if not params["epochs"]:
        return
    training, val = (features(job, start, split) for split in ("train", "val"))
    texts = torch.empty(0)
    if params["mixing"] != "none":
        texts = hand_texts(start.tower, [*start.names, *words])
    count, steps = len(training.labels), -(-len(training.labels) // params["batch_size"])
    update = torch.optim.SGD(
        prompts.parameters(), params["lr"], params["momentum"], weight_decay=params["weight_decay"], nesterov=True
    )
    rate = torch.optim.lr_scheduler.LambdaLR(
        update, lambda step: cosine(step, params["epochs"] * steps, LOWEST / params["lr"])
    )
    for epoch in range(params["epochs"]):
        order, totals = _words(job, epoch, "order").choice(count), np.zeros(2)
        for step, rows in enumerate(np.array_split(order, steps)):
            t = torch.cat(prompts.directions(start.tower, start.names, words))
            batch = Features(training.z[rows], training.labels[rows])
            value = loss(job, batch, start.scale * t, texts, len(start.names), _words(job, epoch, step))
            update.zero_grad()
            value.backward()
            update.step()
            rate.step()
            totals += len(rows) * np.array([value.item(), plain_loss(batch, start.scale * t.detach())])
        with torch.no_grad():
            t = torch.cat(prompts.directions(start.tower, start.names, words))
        for name, total in zip(("train_loss", "unmixed_loss"), totals / count, strict=True):
            job.log((epoch + 1) * steps, name, total)
        job.log((epoch + 1) * steps, "val_loss", plain_loss(val, start.scale * t))


def loss(
    job: TrainJob, batch: Features, rows: torch.Tensor, texts: torch.Tensor, known: int, words: RandomStream
) -> torch.Tensor:
    """The loss that training minimises.

    Args:
        job: its options.
        batch: b images.
        rows: scale * T, (C + N, d).
        texts: directions of hand-written prompts (C + N, 7, d); without mixing they are not read.
        known: C.
        words: of this step.
    """
    params, z, y = job.params, batch.z, batch.labels
    if params["mixing"] == "none":
        return F.cross_entropy(z @ rows.T, y)
    lam = _mixing.beta(words, params["alpha"], params["alpha"])
    columns = torch.from_numpy(words.integers(0, texts.shape[1], len(y))).to(y.device)
    text_vectors = texts[y, columns]
    first = F.cross_entropy(_mixed_features.unit_mix(z, text_vectors, lam) @ rows.T, y)
    if params["mixing"] == "cross_modal":
        return first
    lam = _mixing.beta(words, params["alpha"], params["alpha"])
    other = torch.from_numpy(_mixed_features.partners((y < known).cpu().numpy(), words)).to(y.device)
    soft = _mixed_features.soft_labels(y, y[other], lam, params["beta"], known, len(rows))
    second = F.cross_entropy(_mixed_features.unit_mix(z, z[other], lam) @ rows.T, soft)
    weight = float(params["weight"])
    return first + weight * second


def plain_loss(some: Features, rows: torch.Tensor) -> float:
    """The cross-entropy of images as they are under scale * T, (C + N, d)."""
    return float(F.cross_entropy(some.z @ rows.T, some.labels))


def cosine(step: int, steps: int, lowest: float) -> float:
    """The factor of the rate at a step: from 1 down to `lowest`."""
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(step / steps * math.pi))


def hand_texts(tower: _towers.Tower, words: list[str]) -> torch.Tensor:
    """The directions of the seven hand-written prompts of each word, (n, 7, d)."""
    prompts = [template.format(word) for word in words for template in _mixed_features.TEMPLATES]
    vectors = tower.texts(prompts)
    return vectors.reshape(len(words), len(_mixed_features.TEMPLATES), -1)


def features(job: TrainJob, start: _begin.Begin, split: str) -> Features:
    """Directions and labels of both kinds of images; each is encoded once."""
    predictor = nets.TorchPredictor(start.model, job.plugin, job.model_params, job.device)
    sources: list[tuple[Iterable[Sample], int]] = [(_own(job, split), 0)]
    if job.params["images"]:
        sources.append((shards.read(_begin.shards_at(job, split)), len(start.names)))
    parts: list[npt.NDArray[Any]] = []
    labels: list[int] = []
    for samples, first in sources:
        for batch in batching.batches(samples, 256):
            parts.append(predictor(batch)["features"])
            labels += [first + int(sample.fields["label"]) for sample in batch]
    z = F.normalize(torch.from_numpy(np.concatenate(parts)), dim=1)
    return Features(z.to(start.device), torch.tensor(labels).to(start.device))


def _own(job: TrainJob, split: str) -> Iterable[Sample]:
    return shards.read(job.folder(split)) if job.folder else job.samples(split)


def _words(job: TrainJob, epoch: int, step: int | str) -> RandomStream:
    return RandomStream(job.seed, job.trainer, job.dataset, f"{epoch}/{step}")
