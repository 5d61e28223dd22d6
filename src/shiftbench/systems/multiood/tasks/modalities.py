"""One thing seen through several modalities belongs to one of a fixed list of classes.

Each modality is a payload field. Every sample has `rgb`, what a camera sees: an image uint8 (h, w) at the embedded
scale, of videos features of a frozen network. Others are `shape` and `profile` of images, `fast`, `flow` and `audio`
of videos; models take those that they name. Records and metrics are those of classification; what one modality alone
says stands in the records of the method `modality_head`.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {
    "rgb": "rgb.npy",
    "shape": "shape.npy",
    "profile": "profile.npy",
    "fast": "fast.npy",
    "flow": "flow.npy",
    "audio": "audio.npy",
    "label": "cls",
    "meta": "json",
}
REQUIRED = ("rgb", "label")
FORMATS = tuple(_classified.FORMATS.values())
METRICS = _classified.METRICS


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema for `outputs` `full` or `top20` (the same for any number of classes).

    Raises:
        ParamsError: another mode.
    """
    return _classified.form(outputs).arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a label that no class has (RangeError)."""
    _classified.check(sample, classes)


def shown(sample: Sample) -> dict[str, Any]:
    """Fields of a sample for a preview: the label, and `rgb` where it is an image; see `_shown.shown`."""
    rgb = sample.fields.get("rgb")
    if rgb is None or rgb.dtype != np.uint8:
        return _shown.shown(sample)
    return _shown.shown(sample.with_field("image", rgb))


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in their order; see `_classified.rows`."""
    return _classified.rows(samples, outputs, space, outputs_mode)
