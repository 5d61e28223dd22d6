"""An image belongs to one of a fixed list of classes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shiftbench.sample import Sample
from shiftbench.tasks import _classified
from shiftbench.tasks._classes import LabelSpace

FIELDS = {"image": "png", "mask": "mask.png", "label": "cls", "meta": "json"}
REQUIRED = ("image", "label")
FORMATS = tuple(_classified.FORMATS.values())
METRICS = _classified.METRICS


def schema(classes: int, outputs: str) -> pa.Schema:
    """Return the record schema for `outputs` `full` or `top20` (the same for any number of classes).

    Raises:
        ParamsError: another mode.
    """
    return _classified.form(outputs).arrow


def rows(
    samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str
) -> pa.Table:
    """Return one record per sample, in their order; see `_classified.rows`."""
    return _classified.rows(samples, outputs, space, outputs_mode)
