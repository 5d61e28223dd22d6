"""Classes are learned from a few pictures of each: a sample is a whole task, with support and query pictures.

`support` uint8 (k, h, w) or (k, h, w, 3) and `query` (q, ...) are pictures of one size; `support_labels` uint8 (k,) and
`query_labels` (q,) say which of the task's own classes each shows, from 0; the support has all of them. `meta` may have
the task's `identifier`, a list of numbers. A model gives `logits`, float (n, q, c), its answers on the query pictures
after it has adapted to the support, and may give `predicted_risk`, float (n,). The risk of a task is the mean
cross-entropy over its query pictures, in nats; tasks count alike in metrics, and are what is resampled.

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, section 5.2.
"""

import base64
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import codecs
from shiftbench.plugins.tasks import _episodes
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {
    "support": "support.npy",
    "support_labels": "support_labels.npy",
    "query": "query.npy",
    "query_labels": "query_labels.npy",
    "meta": "json",
}
REQUIRED = ("support", "support_labels", "query", "query_labels")
METRICS = _episodes.METRICS
RECORDS = _episodes.form(
    "few_shot_classification",
    "how well its query pictures were told apart after adaptation",
    "mean cross-entropy",
    "nat",
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, whatever the outputs mode."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a task whose pictures are no pictures, or whose labels name no class of it."""
    for name in ("support", "query"):
        _check_pictures(sample, name)
        _check_labels(sample, name)
    sizes = [sample.fields[name].shape[1:] for name in ("support", "query")]
    if sizes[0] != sizes[1]:
        raise DataError(f"{sample.key}: support is of pictures {sizes[0]} and query of {sizes[1]}; expected one size")
    known = np.unique(sample.fields["support_labels"])
    most = max(int(sample.fields[name].max()) for name in ("support_labels", "query_labels"))
    if not np.array_equal(known, np.arange(most + 1)):
        raise DataError(f"{sample.key}: the support has the labels {known.tolist()}; expected all from 0 to {most}")


def _check_pictures(sample: Sample, name: str) -> None:
    pictures = sample.fields[name]
    right = isinstance(pictures, np.ndarray) and pictures.dtype == np.uint8 and pictures.size > 0
    if not right or not (pictures.ndim == 3 or (pictures.ndim == 4 and pictures.shape[3] == 3)):
        description = getattr(pictures, "dtype", type(pictures).__name__), getattr(pictures, "shape", "")
        raise DataError(
            f"{sample.key}: {name} is {description[0]} {description[1]}; "
            "expected uint8 (pictures, height, width) or with 3 colours, "
            "one picture at least"
        )


def _check_labels(sample: Sample, name: str) -> None:
    labels, count = sample.fields[f"{name}_labels"], len(sample.fields[name])
    right = isinstance(labels, np.ndarray) and labels.dtype == np.uint8
    if not right or labels.shape != (count,):
        description = getattr(labels, "dtype", type(labels).__name__), getattr(labels, "shape", "")
        raise DataError(
            f"{sample.key}: {name}_labels is {description[0]} {description[1]}; "
            f"expected uint8 ({count},), one for each picture"
        )


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: its support as one picture, a row for each class, and its identifier."""
    pictures, labels = sample.fields["support"], sample.fields["support_labels"]
    rows = [np.concatenate(list(pictures[labels == label]), axis=1) for label in np.unique(labels)]
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate([_widened(row, width) for row in rows])
    numbers = ", ".join(f"{value:.3g}" for value in _episodes.identifier(sample) or ())
    picture = base64.b64encode(codecs.encode("png", sheet)).decode()
    return {"label": None, "png": picture, "text": f"identifier: {numbers}"}


def _widened(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A row of pictures, black where a class has fewer."""
    free = [(0, 0), (0, width - row.shape[1])] + [(0, 0)] * (row.ndim - 2)
    return np.pad(row, free)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per task, in their order.

    `samples`: n tasks, with as many query pictures and classes each as the model answers.
    `outputs`: `logits` float (n, q, c); `predicted_risk` float (n,) or absent.
    """
    logits = outputs.get("logits")
    if logits is None or len(logits) != len(samples):
        shapes = {name: value.shape for name, value in outputs.items()}
        raise ModelError(
            f"expected logits of shape ({len(samples)}, query pictures, classes), the model gives {shapes}"
        )
    risks = [_risk(*pair) for pair in zip(samples, logits, strict=True)]
    return _episodes.rows(samples, risks, outputs, RECORDS)


def _risk(sample: Sample, logits: NDArray[Any]) -> float:
    labels = sample.fields["query_labels"].astype(np.int64)
    expected = (len(labels), int(labels.max()) + 1)
    shape = np.shape(logits)
    right = len(shape) == 2 and shape[0] == expected[0] and shape[1] >= max(2, expected[1])
    if not right or not np.isfinite(logits).all():
        raise ModelError(
            f"sample {sample.key!r}: logits have the shape {shape}; expected {expected}, all finite, one row for each "
            "query picture"
        )
    values = np.asarray(logits, np.float64)
    own = values[np.arange(len(labels)), labels]
    return float((logsumexp(values, axis=1) - own).mean())
