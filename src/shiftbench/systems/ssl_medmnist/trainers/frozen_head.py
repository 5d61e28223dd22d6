"""A linear head on the frozen features of a pre-trained net, with a share of the labels.

Features are computed once, without augmentation, of the samples that keep their label alone. Heads of a grid of
learning rates and weight decays are trained by SGD (`_grid_head.py`); kept is the one that is right most often on val,
the first of equals. `refit: 5` trains the chosen one anew for so many epochs, as the code does before it looks at the
scores of OOD detection. `standardise` takes features to mean 0 and deviation 1 over those that keep their label, before
the head and into it: without it the largest rate of the grid is too small for features as small as those of a net that
was never trained.

`learnt_from` and `start` name the weights, of the same training seed; `{dataset}` is the dataset of the head. The seed
is that of the encoder, of the draw of labels and of the head: the code has one encoder and five heads of the clock's
seeds. The log has `labels`, `lr`, `weight_decay` and `val_accuracy`.

Source: main_linear.py, main_ood.py and scripts/linear/medmnist of "Evaluating Self-Supervised Learning in Medical
Imaging" (KarahanS/Self-Supervised-Learning-for-Medical-Image-Analysis). Differs: all of val is looked at whatever the
fraction (as there), by the last epoch's head (there by the best epoch's).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import batching, nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.ssl_medmnist.trainers import _fractions, _grid_head

TASKS = ("classification",)
PARAMS: dict[str, object] = {
    "learnt_from": "{dataset}",
    "start": "random_init",
    "fraction": 1.0,
    "lr": [0.1, 0.01, 0.001],
    "weight_decay": [0.0, 0.1, 0.01],
    "epochs": 100,
    "drops": [60, 80],
    "batch": 256,
    "standardise": False,
    "refit": 0,
    "batch_size": 256,
}
Rows = tuple[torch.Tensor, torch.Tensor]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the pre-trained weights, and the train and val shards."""
    learnt_from = str(params["learnt_from"]).format(dataset=params["dataset"])
    return [
        refs.checkpoint(learnt_from, params["model"], params["start"], params["seed"]),
        *(refs.shards(params["dataset"], split) for split in ("train", "val")),
    ]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the pre-trained state dict with the chosen head.

    Raises:
        ModelError: the model gives no features, or a split is empty.
        ParamsError: the grid is empty, or `fraction` is no share.
    """
    if not (job.params["lr"] and job.params["weight_decay"]):
        raise ParamsError("frozen_head: lr or weight_decay is empty; expected lists of numbers")
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    before = nets.classes_of(start)
    predictor = nets.load_predictor(job.plugin, start, job.model_params, before, job.device, inputs=job.inputs)
    known = _features(job, predictor, "train", labelled(job))
    held = _features(job, predictor, "val")
    weight, bias = chosen(job, known, held)
    job.log(0, "labels", len(known[1]))
    return nets.with_head(job.plugin, nets.read_state(start), weight, bias)


def labelled(job: TrainJob) -> set[str] | None:
    """Return the keys of the training samples that keep their label; None: all."""
    if job.params["fraction"] == 1:
        return None
    given = [(s.key, int(s.fields["label"])) for s in _samples(job, "train", ("label",))]
    labels = np.array([label for _, label in given])
    words = job.seed, "labels", job.dataset
    return {given[row][0] for row in _fractions.rows(labels, job.params["fraction"], words)}


def chosen(job: TrainJob, known: Rows, held: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (classes, d) and bias (classes,) of the head that val chooses; logs which and how good it is."""
    params, words = job.params, (job.seed, job.trainer, job.dataset)
    mean, deviation = scale(known[0], asked=params["standardise"])
    known, held = (((rows - mean) / deviation, labels) for rows, labels in (known, held))
    options = {"drops": params["drops"], "batch": params["batch"]}
    heads = _grid_head.fit(
        *known, len(job.classes), words,
        rates=params["lr"], decays=params["weight_decay"], epochs=params["epochs"], **options,
    )  # fmt: skip
    best = int(np.argmax(heads.accuracies(*held)))
    rate, decay = heads.grid[best]
    if params["refit"]:
        heads = _grid_head.fit(
            *known, len(job.classes), words,
            rates=[rate], decays=[decay], epochs=params["refit"], **options,
        )  # fmt: skip
        best = 0
    for name, value in (("lr", rate), ("weight_decay", decay)):
        job.log(0, name, value)
    job.log(0, "val_accuracy", float(heads.accuracies(*held)[best]))
    weight = heads.weights[best] / deviation
    return weight, heads.biases[best] - weight @ mean


def scale(features: torch.Tensor, *, asked: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and deviation of features (n, d), (d,) each; 0 and 1 where it is not asked for, 1 for constants."""
    if not asked:
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
    """Return features (n, d) and labels (n,) of some samples of a split, read a batch at a time."""
    parts: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for batch in batching.batches(_samples(job, split, keys=keys), job.params["batch_size"]):
        found = predictor(batch).get("features")
        if found is None:
            raise ModelError(f"model {job.model!r} gives no features; it cannot be probed")
        parts.append(found)
        labels += [int(sample.fields["label"]) for sample in batch]
    if not parts:
        raise ModelError(f"{job.dataset}/{split} is empty; frozen_head needs train and val samples")
    return torch.from_numpy(np.concatenate(parts)), torch.tensor(labels)
