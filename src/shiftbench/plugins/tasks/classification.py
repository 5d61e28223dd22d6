"""An image belongs to one of a fixed list of classes."""

from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"image": "png", "mask": "mask.png", "label": "cls", "meta": "json"}
REQUIRED = ("image", "label")
FORMATS = tuple(_classified.FORMATS.values())
METRICS = _classified.METRICS


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema for `outputs` `full` or `top20` (the same for any number of classes)."""
    return _classified.form(outputs).arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a label that no class has (RangeError)."""
    _classified.check(sample, classes)


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample; see `_shown.shown`."""
    return _shown.shown(sample)


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in their order; see `_classified.rows`."""
    return _classified.rows(samples, outputs, space, outputs_mode)
