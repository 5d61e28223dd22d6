"""Label smoothing by the confidence of classes, and a curriculum that begins with easy samples.

    q_j = ((1 - eps) [j = y] + (eps + c_j / w) / K) / sum      smooth_by: model (MCLS, w 500), human (HCLS, w 400)
    loss of a batch = mean cross-entropy to q over the samples with score >= m
    m_0 = the largest of 1, 0.999, ... that a share of at least r of the scores lies above;  m <- max(m - m_0 / E, 0)

`smooth_by: uniform` is plain label smoothing (c_j = 0), `rank_by: none` has no curriculum; `rank_by: model` (MC) and
`human` (HC) rank as `_confidences.py` says. `shuffled: true`, a control of ours, deals the scores out at random: as
many samples are left out in each epoch, and which ones does not depend on how hard they are.

Every model sees each sample once an epoch and takes as many steps: samples below m add nothing to the loss. A batch of
which no sample counts changes nothing but what the optimiser does by itself (there: NaN). From epoch E on, and with
r = 1, m is 0.

Source: Ao et al., "Confidence-Aware Calibration and Scoring Functions for Curriculum Learning", 2023;
AoShuang92/Confidence_Calibration_CL, `main.py` (`CELossWith_MCLS`, `train`). There CIFAR-10's *test* set is learned
from, the training set evaluated, and the best epoch chosen on it; here the splits are the dataset's, and the last epoch
is kept. eps 0.09 with w 500 and 0.13 with w 400 are what its scripts with curriculum use.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import soft_cross_entropy
from shiftbench.plugins.trainers import _loop, erm
from shiftbench.systems.safe_reliable_ai_thesis.trainers import _confidences

TASKS = ("classification",)
THRESHOLDS = np.arange(1000, 0, -1) / 1000


class Options(_confidences.Options):
    epochs: fields.Epochs = 12
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    schedule: fields.Schedule = "one_cycle"
    smoothing: fields.Smoothing = 0.09
    shift: fields.Shift = 1
    flip: fields.Flip = False
    warmup: _loop.Warmup = 0.0
    smooth_by: Literal["uniform", "model", "human"] = Field(
        "uniform", description="confidences of classes that the smoothing follows; uniform: none"
    )
    weight: float = Field(500.0, gt=0, description="divisor w of these confidences")
    rank_by: Literal["none", "model", "human"] = Field(
        "none", description="confidences that the curriculum ranks samples by; none: no curriculum"
    )
    shuffled: bool = Field(False, description="deal the scores out at random, as a control")
    share: float = Field(
        0.8, gt=0, le=1, description="share r of the samples that the first epoch learns from, at least"
    )
    end: int = Field(5, ge=1, description="epoch E from which all samples count")


def kinds(params: Mapping[str, Any]) -> set[str]:
    """The kinds of confidences that the options need.

    Raises:
        ParamsError: there is no such kind.
    """
    for name, none in (("smooth_by", "uniform"), ("rank_by", "none")):
        known = (none, *_confidences.KINDS)
        if params[name] not in known:
            raise ParamsError(f"confidence_curriculum: {name} is {params[name]!r}; {suggest(str(params[name]), known)}")
    return {params["smooth_by"], params["rank_by"]} & set(_confidences.KINDS)


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train and val shards, and the checkpoints of judge and raters."""
    shards = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [*shards, *_confidences.needs(params, kinds(params))]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of judge and raters."""
    return _confidences.uses(params, kinds(params))


class Curriculum:
    """Choice of the samples that count: those whose score reaches a threshold that falls to 0.

    Args:
        scores: float64 (n,), higher is easier; None: all count.
        share: of the samples that count in the first epoch, at least.
        end: epochs until all count.
    """

    def __init__(self, scores: npt.NDArray[np.float64] | None, share: float, end: int) -> None:
        self.scores = np.zeros(1) if scores is None else scores
        all_count = scores is None or share == 1
        self.threshold = 0.0 if all_count else first_threshold(self.scores, share)
        self._step, self._left = self.threshold / max(end, 1), end

    def counts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether each of these samples counts now."""
        if self.threshold == 0:
            return np.ones(len(rows), dtype=bool)
        counted: npt.NDArray[np.bool_] = self.scores[rows] >= self.threshold
        return counted

    def next_epoch(self) -> None:
        """Lower the threshold."""
        self._left -= 1
        self.threshold = max(self.threshold - self._step, 0.0) if self._left > 0 else 0.0


def first_threshold(scores: npt.NDArray[np.float64], share: float) -> float:
    """The largest threshold in steps of 0.001 with at least this share of scores above it, or the lowest.

    Raises:
        ParamsError: a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ParamsError(f"confidence_curriculum: share is {share:g}; expected one in (0, 1]")
    for threshold in THRESHOLDS:
        if (scores > threshold).mean() >= share:
            return float(threshold)
    return float(THRESHOLDS[-1])


def shuffled(scores: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """The same scores, float64 (n,), each given to a sample at random."""
    permuted: npt.NDArray[np.float64] = scores[
        np.argsort(RandomStream(seed, "confidence_curriculum", "", "").raw(len(scores)))
    ]
    return permuted


def targets(
    labels: npt.NDArray[np.int64], classes: int, smoothing: float, class_term: npt.NDArray[np.float64]
) -> torch.Tensor:
    """Soft targets q, float32 (n, K), rows that sum to 1; `class_term` is c_j / w, float64 (K,)."""
    unnormalised = np.eye(classes)[labels] * (1 - smoothing) + (smoothing + class_term) / classes
    shares: torch.Tensor = torch.from_numpy(unnormalised / unnormalised.sum(axis=1, keepdims=True)).float()
    return shares


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    samples = job.samples("train")
    labels = np.array([int(sample.fields["label"]) for sample in samples])
    confidences = {kind: _confidences.shares(job, samples, kind) for kind in kinds(job.params)}
    soft_targets = _targets(job, labels, confidences)
    rank = job.params["rank_by"]
    easiness = _confidences.scores(confidences[rank], labels, rank) if rank in confidences else None
    if easiness is not None and job.params["shuffled"]:
        easiness = shuffled(easiness, job.seed)
    curriculum = Curriculum(easiness, job.params["share"], job.params["end"])

    def loss(model: torch.nn.Module, batch: npt.NDArray[Any], rows: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        moved = erm.move(batch, rng, job.params["shift"], flip=job.params["flip"])
        logits = model(_loop.tensor(moved, model))
        counts = torch.from_numpy(curriculum.counts(rows.cpu().numpy()))
        if not counts.any():
            zero_loss: torch.Tensor = logits.sum() * 0
            return zero_loss
        return soft_cross_entropy(logits[counts.to(logits.device)], soft_targets[rows.cpu()][counts].to(logits.device))

    numbered = replace(job, samples=_numbered(job, samples), folder=None)
    validate = _validate(job, curriculum, len(samples))
    return dict(_loop.fit(numbered, _loop.fresh_net(job), loss, validate=validate).state_dict())


def _targets(
    job: TrainJob, labels: npt.NDArray[np.int64], shares_of_kind: Mapping[str, npt.NDArray[np.float64]]
) -> torch.Tensor:
    kind, classes = job.params["smooth_by"], len(job.classes)
    class_term = np.zeros(classes)
    if kind in shares_of_kind:
        confidences = _confidences.of_classes(shares_of_kind[kind], labels)
        for name, value in zip(job.classes, confidences, strict=True):
            job.log(0, f"confidence_{name}", value)
        class_term = np.nan_to_num(confidences) / job.params["weight"]
    return targets(labels, classes, job.params["smoothing"], class_term)


def _numbered(job: TrainJob, samples: list[Sample]) -> Callable[[str], list[Sample]]:
    """The samples of a split, where those of train have their place in the list as the label."""
    numbered = [sample.with_field("label", row) for row, sample in enumerate(samples)]
    return lambda split: numbered if split == "train" else job.samples(split)


def _validate(job: TrainJob, curriculum: Curriculum, count: int) -> Callable[[torch.nn.Module], float]:
    """Function to call after each epoch: it logs the share of samples that counted, and lowers the threshold."""
    inputs, labels = _loop.inputs(job, "val")
    steps = -(-count // job.params["batch_size"])
    epochs = iter(range(1, job.params["epochs"] + 1))

    def finish_epoch(model: torch.nn.Module) -> float:
        share = curriculum.counts(np.arange(count)).mean()
        job.log(next(epochs) * steps, "share", float(share))
        curriculum.next_epoch()
        return _loop.accuracy(model, inputs, labels)

    return finish_epoch
