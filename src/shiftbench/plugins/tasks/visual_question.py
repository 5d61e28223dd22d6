"""A question about an image has one of a fixed list of answers; records and metrics are those of classification.

A sample has an `image`, a question (`text`) and the answer (`label`, among the dataset's classes). Image shifts change
the image, text shifts the question, and shifts joined by `+` (`gaussian_noise+char_noise`) both. Where `meta.group` is
the kind of question, metrics also come for each kind; questions about one image share a `meta.cluster`.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"image": "png", "text": "txt", "label": "cls", "meta": "json"}
REQUIRED = ("image", "text", "label")
FORMATS = tuple(_classified.FORMATS.values())
METRICS = _classified.METRICS


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema for `outputs` `full` or `top20` (the same for any number of answers)."""
    return _classified.form(outputs).arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a sample that asks nothing, or whose answer is none of the list."""
    if not sample.fields["text"].strip():
        raise DataError(f"{sample.key}: the question is empty; expected a text about the image")
    _classified.check(sample, classes)


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample, the image and the question; see `_shown.shown`."""
    return _shown.shown(sample)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in their order; see `_classified.rows`."""
    return _classified.rows(samples, outputs, space, outputs_mode)
