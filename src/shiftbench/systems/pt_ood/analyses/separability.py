"""Separability: how well a linear classifier of features tells OOD classes from each other and from ID.

    linear_separability   a classifier is fitted on half of the ID and OOD test images: ID is one class, each OOD class
                          another; the share of right answers on the other half
    probe_margin          p1 - p2, the two largest probabilities that the net under test gives an OOD image

Source: the question of PT-OOD, "Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?", 2023
(https://arxiv.org/abs/2310.00847), section on linear separability; both definitions are ours, since the paper's are not
known. Features are standardised by the half that is fitted on; halves go by the hash of the key. `c` is the inverse
penalty of the logistic regression. Rows stand under the dataset `named` (the group of OOD sets, so that they stand
beside its AUROC).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.evaluation import batching
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _logistic

Floats = NDArray[np.float64]
PARAMS: dict[str, object] = {"ood": "", "named": "", "c": 0.1}
BATCH = 256


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the weights, and the ID and OOD shards."""
    return [*(Ref("checkpoints", name) for name in params["checkpoints"]), *_sets(params)]


def _sets(params: Mapping[str, Any]) -> list[Ref]:
    return [refs.shards(name, params["split"]) for name in (params["dataset"], _ood(params))]


def _ood(params: Mapping[str, Any]) -> str:
    return str(params["ood"]).format(dataset=params["dataset"])


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both numbers of each image that they are of, for all weights."""
    known, other = (job.folder(ref) for ref in _sets(job.params))
    told = {s.key: 1 + int(s.fields["label"]) for s in shards.read(other, ["label"])}
    keys = [*(s.key for s in shards.read(known, ["label"])), *told]
    labels = np.array([told.get(key, 0) for key in keys])
    fits = np.array([splits.unit("separability", key) < 0.5 for key in keys])
    named = job.params["named"] or _ood(job.params)
    for name in job.params["checkpoints"]:
        images = itertools.chain(shards.read(known), shards.read(other))
        features, logits = _seen(job.predictor(Ref("checkpoints", name)), images)
        found = {
            "linear_separability": (~fits, separated(features, labels, fits, job.params["c"])),
            "probe_margin": (labels > 0, margins(logits[labels > 0])),
        }
        for metric, (of, values) in found.items():
            for at, value in zip(np.flatnonzero(of), values, strict=True):
                yield Observation(metric, keys[at], float(value), name, named, job.params["split"])


def separated(features: Floats, labels: NDArray[np.int64], fits: NDArray[np.bool_], c: float) -> NDArray[np.bool_]:
    """Return which answers are right on the half that was not fitted on.

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
    """Return the largest probability minus the second, (n,)."""
    ordered = np.sort(softmax(logits, axis=1), axis=1)
    found: Floats = ordered[:, -1] - ordered[:, -2]
    return found


def _seen(net: Any, samples: Iterable[Sample]) -> tuple[Floats, Floats]:
    """Return features (n, d) and logits (n, C) of images that are read a batch at a time."""
    parts = [net(batch) for batch in batching.batches(samples, BATCH)]
    features, logits = (
        np.concatenate([part[name] for part in parts]).astype(np.float64) for name in ("features", "logits")
    )
    return features, logits
