"""A function is learned from a few of its points: a sample is a whole task, with support and query points.

`support` float32 (k, d + 1) and `query` float32 (q, d + 1) hold one point a row, its inputs and, last, its target.
`meta` may have the task's `identifier`, a list of numbers (amplitude and phase of a sinusoid). A model gives
`predictions`, float (n, q), its answers at the query inputs after it has adapted to the support, and may give
`predicted_risk`, float (n,), what it expected its risk to be (NaN: it does not say). The risk of a task is the mean
squared error over its query points; tasks count alike in metrics, and are what is resampled.

Source: Finn, Abbeel and Levine 2017, "Model-Agnostic Meta-Learning", arXiv:1703.03400, section 5.1.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import _episodes
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"support": "support.npy", "query": "query.npy", "meta": "json"}
REQUIRED = ("support", "query")
METRICS = _episodes.METRICS
RISK_LIMIT = _episodes.RISK_LIMIT
RECORDS = _episodes.form(
    "few_shot_regression", "how far off its query points were after adaptation", "mean squared error", "squared unit"
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, whatever the outputs mode."""
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a task whose points are no points."""
    for name in REQUIRED:
        points = sample.fields[name]
        right = isinstance(points, np.ndarray) and points.dtype == np.float32 and points.ndim == 2
        if not right or len(points) < 1 or points.shape[1] < 2:
            description = getattr(points, "dtype", type(points).__name__), getattr(points, "shape", "")
            raise DataError(
                f"{sample.key}: {name} is {description[0]} {description[1]}; expected float32 (points, inputs + 1), "
                "one point at least"
            )
        if not np.isfinite(points).all():
            raise DataError(f"{sample.key}: a number of {name} is not finite")
    widths = [sample.fields[name].shape[1] for name in REQUIRED]
    if widths[0] != widths[1]:
        raise DataError(f"{sample.key}: support has {widths[0]} columns and query {widths[1]}; expected as many")


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: its identifier and its support points, in words."""
    points = [" ".join(f"{value:.3g}" for value in row) for row in sample.fields["support"].tolist()]
    numbers = ", ".join(f"{value:.3g}" for value in _episodes.identifier(sample) or ())
    return {"label": None, "text": "\n".join([f"identifier: {numbers}", "support:", *points])}


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per task, in their order.

    `samples`: n tasks, with as many query points each as the model answers.
    `outputs`: `predictions` float (n, q); `predicted_risk` float (n,) or absent.
    """
    risks = [_risk(*pair) for pair in zip(samples, _predictions(samples, outputs), strict=True)]
    return _episodes.rows(samples, risks, outputs, RECORDS)


def _predictions(samples: list[Sample], outputs: dict[str, np.ndarray]) -> np.ndarray:
    predictions = outputs.get("predictions")
    if predictions is None or len(predictions) != len(samples):
        shapes = {name: value.shape for name, value in outputs.items()}
        raise ModelError(f"expected predictions of shape ({len(samples)}, query points), the model gives {shapes}")
    return predictions


def _risk(sample: Sample, predictions: NDArray[Any]) -> float:
    targets = sample.fields["query"][:, -1].astype(np.float64)
    if np.shape(predictions) != targets.shape or not np.isfinite(predictions).all():
        raise ModelError(
            f"sample {sample.key!r}: predictions have the shape {np.shape(predictions)}; expected {targets.shape}, all "
            "finite, one for each query point"
        )
    return float(np.square(predictions.astype(np.float64) - targets).mean())
