"""Separability: how well a linear classifier of features tells OOD classes from each other and from ID.

    linear_separability   a classifier is fitted on half of the ID and OOD test images: ID is one class, each OOD class
                          another; the share of right answers on the other half
    probe_margin          p1 - p2, the two largest probabilities that the model under test gives an OOD image

Source: the question of PT-OOD, "Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?", 2023
(https://arxiv.org/abs/2310.00847), section on linear separability; both definitions are ours, since the paper's are not
known. Features are standardised by the half that is fitted on; halves go by the hash of the key.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.evaluation import batching
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _logistic

Floats = NDArray[np.float64]
BATCH = 256


class Options(declare.Options):
    ood: str = Field("", description="OOD data set; `{dataset}` is replaced by the benchmark's")
    named: str = Field("", description="name of the data set in the rows; empty: the OOD data set")
    c: float = Field(0.1, gt=0, description="inverse strength of the penalty of the logistic regression")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints, and the ID and OOD shards."""
    return [*(Ref("checkpoints", name) for name in params["checkpoints"]), *_sets(params)]


def _sets(params: Mapping[str, Any]) -> list[Ref]:
    return [refs.shards(name, params["split"]) for name in (params["dataset"], _ood(params))]


def _ood(params: Mapping[str, Any]) -> str:
    return str(params["ood"]).format(dataset=params["dataset"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both numbers of each image that they are of, for all weights."""
    id_folder, ood_folder = (job.folder(ref) for ref in _sets(job.params))
    ood_labels = {s.key: 1 + int(s.fields["label"]) for s in shards.read(ood_folder, ["label"])}
    keys = [*(s.key for s in shards.read(id_folder, ["label"])), *ood_labels]
    labels = np.array([ood_labels.get(key, 0) for key in keys])
    is_training = np.array([splits.unit("separability", key) < 0.5 for key in keys])
    dataset = job.params["named"] or _ood(job.params)
    for name in job.params["checkpoints"]:
        images = itertools.chain(shards.read(id_folder), shards.read(ood_folder))
        features, logits = _features_and_logits(job.predictor(Ref("checkpoints", name)), images)
        metrics = {
            "linear_separability": (~is_training, separated(features, labels, is_training, job.params["c"])),
            "probe_margin": (labels > 0, margins(logits[labels > 0])),
        }
        for metric, (mask, values) in metrics.items():
            for position, value in zip(np.flatnonzero(mask), values, strict=True):
                yield Observation(metric, keys[position], float(value), name, dataset, job.params["split"])


def separated(features: Floats, labels: NDArray[np.int64], fits: NDArray[np.bool_], c: float) -> NDArray[np.bool_]:
    """Whether each answer is right on the half that was not fitted on.

    Args:
        features: (n, d).
        labels: int (n,), from 0.
        fits: bool (n,), the half that is fitted on.
        c: inverse penalty.
    """
    mean, std = features[fits].mean(0), np.maximum(features[fits].std(0), 1e-6)
    inside = (features - mean) / std
    weight, bias = _logistic.fit(inside[fits], labels[fits], int(labels.max()) + 1, c, balanced=False, threads=1)
    answers: NDArray[np.bool_] = (inside[~fits] @ weight.T + bias).argmax(1) == labels[~fits]
    return answers


def margins(logits: Floats) -> Floats:
    """The largest probability minus the second, (n,)."""
    ordered = np.sort(softmax(logits, axis=1), axis=1)
    gaps: Floats = ordered[:, -1] - ordered[:, -2]
    return gaps


def _features_and_logits(predictor: Any, samples: Iterable[Sample]) -> tuple[Floats, Floats]:
    """Features (n, d) and logits (n, C) of images that are read a batch at a time."""
    parts = [predictor(batch) for batch in batching.batches(samples, BATCH)]
    features, logits = (
        np.concatenate([part[name] for part in parts]).astype(np.float64) for name in ("features", "logits")
    )
    return features, logits
