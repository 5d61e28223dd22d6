"""A linear head on the frozen features of a pre-trained model, with a share of the labels.

`fraction` f of the training samples keep their label, n_c = max(1, int(int(f N) N_c / N)) of class c. Their features
are computed once, without augmentation. Heads for a grid of learning rates and weight decays are trained by SGD
(`_grid_head.py`). The head with the highest accuracy on val is the result, the first one if several are equal. The code
trains this head again (`refit: 5`) before it computes the scores of OOD detection. `standardise` is part of the head:
without it, the largest rate of the grid is too small for the small features of a model that was never trained.

The seed is that of the encoder, of the choice of labels and of the head: the code has one encoder and five heads
with seeds of the clock. The log has `labels`, `lr`, `weight_decay` and `val_accuracy`.

Source: main_linear.py, main_ood.py, scripts/linear/medmnist and `sample_balanced_data` of
src/downstream/semisupervised.py (which is stratified, despite its name) of "Evaluating Self-Supervised Learning in
Medical Imaging" (KarahanS/Self-Supervised-Learning-for-Medical-Image-Analysis). Differs: the accuracy is that of the
last epoch's head (there the best epoch's); a rare class keeps one label, where there n_c may be 0; the choice of labels
has the training seed (there the clock's). All of val is used whatever the fraction, as there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.ssl_medmnist.trainers import _grid_head

TASKS = ("classification",)
Rows = tuple[torch.Tensor, torch.Tensor]


class Options(declare.Options):
    learnt_from: str = Field(
        "{dataset}", description="data set of the pre-trained checkpoint; `{dataset}` is the head's"
    )
    start: str = Field("random_init", description="trainer of the pre-trained checkpoint")
    fraction: float = Field(1.0, gt=0, le=1, description="share of the training samples that keep their label")
    lr: list[float] = Field([0.1, 0.01, 0.001], min_length=1, description="learning rates of the grid")
    weight_decay: list[float] = Field([0.0, 0.1, 0.01], min_length=1, description="weight decays of the grid")
    epochs: fields.Epochs = 100
    drops: list[int] = Field([60, 80], description="epochs after which the learning rate drops to a tenth")
    batch: int = Field(256, ge=1, description="samples of a batch of the head's training")
    standardise: bool = Field(False, description="give features mean 0 and deviation 1 over the samples with a label")
    refit: int = Field(0, ge=0, description="epochs in which the chosen head is trained again; 0: not")
    batch_size: int = Field(256, ge=1, description="samples whose features are computed at once")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The pre-trained checkpoint, and the train and val shards."""
    learnt_from = str(params["learnt_from"]).format(dataset=params["dataset"])
    return [
        refs.checkpoint(learnt_from, params["model"], params["start"], params["seed"]),
        *(refs.shards(params["dataset"], split) for split in ("train", "val")),
    ]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict of the pre-trained model with the chosen head.

    Raises:
        ModelError: the model has no features, or a split is empty.
        ParamsError: the grid is empty, or `fraction` is outside 0 to 1.
    """
    if not (job.params["lr"] and job.params["weight_decay"]):
        raise ParamsError("frozen_head: lr or weight_decay is empty; expected lists of numbers")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    old_classes = nets.classes_of(start)
    predictor = nets.load_predictor(job.plugin, start, job.model_params, old_classes, job.device, inputs=job.inputs)
    train_rows = _features(job, predictor, "train", labelled(job))
    val_rows = _features(job, predictor, "val")
    weight, bias = best_head(job, train_rows, val_rows)
    job.log(0, "labels", len(train_rows[1]))
    return nets.with_head(job.plugin, nets.read_state(start), weight, bias)


def labelled(job: TrainJob) -> set[str] | None:
    """Keys of the training samples that keep their label; None: all."""
    if job.params["fraction"] == 1:
        return None
    labels_by_key = [(s.key, int(s.fields["label"])) for s in _samples(job, "train", ("label",))]
    labels = np.array([label for _, label in labels_by_key])
    words = job.seed, "labels", job.dataset
    return {labels_by_key[row][0] for row in labelled_rows(labels, job.params["fraction"], words)}


def best_head(job: TrainJob, train_rows: Rows, val_rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (classes, d) and bias (classes,) of the head that val chooses; logs its options and accuracy."""
    params, words = job.params, (job.seed, job.trainer, job.dataset)
    mean, deviation = scale(train_rows[0], standardise=params["standardise"])
    train_rows, val_rows = (((rows - mean) / deviation, labels) for rows, labels in (train_rows, val_rows))
    options = {"drops": params["drops"], "batch": params["batch"]}
    heads = _grid_head.fit(
        *train_rows, len(job.classes), words,
        rates=params["lr"], decays=params["weight_decay"], epochs=params["epochs"], **options,
    )  # fmt: skip
    best = int(np.argmax(heads.accuracies(*val_rows)))
    rate, decay = heads.grid[best]
    if params["refit"]:
        heads = _grid_head.fit(
            *train_rows, len(job.classes), words,
            rates=[rate], decays=[decay], epochs=params["refit"], **options,
        )  # fmt: skip
        best = 0
    for name, value in (("lr", rate), ("weight_decay", decay)):
        job.log(0, name, value)
    job.log(0, "val_accuracy", float(heads.accuracies(*val_rows)[best]))
    weight = heads.weights[best] / deviation
    return weight, heads.biases[best] - weight @ mean


def scale(features: torch.Tensor, *, standardise: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of features (n, d), (d,) each; 0 and 1 without `standardise`; deviation 1 for constants."""
    if not standardise:
        return torch.zeros(features.shape[1]), torch.ones(features.shape[1])
    deviation = features.std(0, correction=0)
    constant = deviation <= 1e-6 * deviation.max().clamp(min=1e-30)
    return features.mean(0), torch.where(constant, torch.ones_like(deviation), deviation)


def _samples(
    job: TrainJob, split: str, fields: Sequence[str] | None = None, keys: set[str] | None = None
) -> Iterator[Sample]:
    if job.folder is None:
        return (s for s in job.samples(split) if keys is None or s.key in keys)
    return shards.read(job.folder(split), fields, keys)


def _features(job: TrainJob, predictor: nets.Predictor, split: str, keys: set[str] | None = None) -> Rows:
    """Features (n, d) and labels (n,) of some samples of a split, read a batch at a time."""
    parts: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for batch in batching.batches(_samples(job, split, keys=keys), job.params["batch_size"]):
        features = predictor(batch).get("features")
        if features is None:
            raise ModelError(f"model {job.model!r} gives no features; it cannot be probed")
        parts.append(features)
        labels += [int(sample.fields["label"]) for sample in batch]
    if not parts:
        raise ModelError(f"{job.dataset}/{split} is empty; frozen_head needs train and val samples")
    return torch.from_numpy(np.concatenate(parts)), torch.tensor(labels)


def label_counts(labels: NDArray[np.int64], fraction: float) -> dict[int, int]:
    """Number of samples of each class that keep their label.

    Raises:
        ParamsError: `fraction` is not above 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise ParamsError(f"fraction is {fraction:g}; expected above 0, and 1 at most")
    total = int(len(labels) * fraction)
    classes, counts = np.unique(labels, return_counts=True)
    return {
        int(label): max(1, int(total * (count / len(labels)))) for label, count in zip(classes, counts, strict=True)
    }


def labelled_rows(labels: NDArray[np.int64], fraction: float, words: tuple[int, str, str]) -> NDArray[np.int64]:
    """Rows of the samples that keep their label, ascending; all rows at a fraction of 1.

    Args:
        labels: int (n,).
        fraction: of the samples, in (0, 1].
        words: seed, purpose and data set, the key of the random words of each class; the samples of a smaller fraction
            are among those of a larger one.
    """
    counts = label_counts(labels, fraction)
    if fraction == 1:
        return np.arange(len(labels))
    chosen_rows = []
    for label, count in counts.items():
        rows_of_class = np.flatnonzero(labels == label)
        chosen_rows.append(rows_of_class[RandomStream(*words, f"{label}").choice(len(rows_of_class))[:count]])
    return np.sort(np.concatenate(chosen_rows))
