"""Objects of a fixed list of classes are found in an image, each with a box and a score.

A sample holds `boxes` (see `boxes.py`). A model gives, for each image, `boxes` float32 (k, 4) as x, y, w, h in pixels
of the image, `scores` float32 (k,) and `classes` int (k,), indices into its classes; it may also give `cell_logits`
(k, C) and `cell_features` (k, d) of each box, which records do not hold. What a method says of each box beside, under
the names of OPTIONAL, is in the records. Matches of predictions with true boxes are
COCO's (`_matching.py`) and are made once, here, so that metrics only count. True boxes of classes that the model
lacks do not count.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import boxes as kept
from shiftbench.data.formats import Column, Format
from shiftbench.plugins.tasks import _classified, _per_image, _shown
from shiftbench.plugins.tasks._classes import LabelSpace
from shiftbench.statistics import box_matching

FIELDS = {"image": "png", "boxes": "boxes.json", "meta": "json"}
REQUIRED = ("image", "boxes")
METRICS = (
    *("map", "map50", "map75", "map_small", "map_medium", "map_large", "ar"),
    *("accuracy_drop", "accuracy_drop_relative", "effective_robustness", "severity_rank"),
    *("harmonic_mean", "hallucinations", "box_recall", "box_fpr", "box_auroc"),
)
RECORDS = Format(
    "records/detection/full",
    "One row per image: the predicted boxes, the true ones, and which predictions found one. Lists of boxes are flat, "
    "x, y, w, h of each. Bit 10 a + t of `matched` and `ignored` is of area range a (all, small, medium, large) and of "
    "IoU 0.5 + 0.05 t.",
    ("key",),
    (
        Column("key", pa.string(), "", "the sample's key"),
        Column("width", pa.int32(), "pixel", "of the image", 1),
        Column("height", pa.int32(), "pixel", "of the image", 1),
        Column("boxes", pa.list_(pa.float32()), "pixel", "predicted boxes, flat"),
        Column("scores", pa.list_(pa.float32()), "", "their scores"),
        Column("classes", pa.list_(pa.int32()), "class", "their classes, indices into the model's"),
        Column("matched", pa.list_(pa.int64()), "bits", "whether they are matched with a true box"),
        Column("ignored", pa.list_(pa.int64()), "bits", "whether they do not count"),
        Column("true_boxes", pa.list_(pa.float64()), "pixel", "true boxes, flat"),
        Column("true_classes", pa.list_(pa.int32()), "class", "their classes, likewise; -1: none of the model's"),
        Column("true_areas", pa.list_(pa.float64()), "pixel", "areas of their objects"),
        Column("true_crowd", pa.list_(pa.bool_()), "", "whether they are crowds, which do not count"),
        Column("ood_scores", pa.list_(pa.float32()), "", "of each filter (`box_filters`), by box; higher = more OOD",
               nullable=True),
        Column("filter_ranks_e9", pa.list_(pa.int64()), "1e-9", "share of calibrating ID boxes that score lower",
               nullable=True),
        Column("filters", pa.list_(pa.int64()), "bits", "which filters a box passes; bit 0: none of them, always set",
               nullable=True),
        Column("filters_at_recall", pa.list_(pa.int64()), "bits", "likewise, at the confidence of equal ID recall",
               nullable=True),
        Column("kept_logits", pa.list_(pa.float32()), "", "of the artifact of each box, flat", nullable=True),
        Column("kept_features", pa.list_(pa.float32()), "", "likewise", nullable=True),
        Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together; null: the image itself", nullable=True),
    ),
)  # fmt: skip
FORMATS = (RECORDS,)
OPTIONAL = (*("ood_scores", "filter_ranks_e9", "filters", "filters_at_recall"), *("kept_logits", "kept_features"))


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, the same for any number of classes and either mode of outputs."""
    _classified.form(outputs)
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse boxes that are none, lie outside of the image, or have no class (DataError, RangeError)."""
    kept.check(sample.key, sample.fields["boxes"], sample.fields["image"].shape, len(classes))


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: the image, and `boxes`, each x, y, w, h and its label."""
    boxes = [[*box["box"], box["label"]] for box in sample.fields["boxes"]]
    return {**_shown.shown(sample), "boxes": boxes}


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per image, in the order of the samples.

    `samples`: n samples with `image` and `boxes`; `meta` may hold `group` and `cluster`.
    `outputs`: `boxes`, `scores` and `classes`, object arrays (n,); see above.
    """
    _classified.form(outputs_mode)
    _per_image.check(outputs, ("boxes", "scores", "classes"), samples, "a detector")
    records = [_row(sample, at, outputs, space) for at, sample in enumerate(samples)]
    said = {name: _optional(name, samples, outputs) for name in OPTIONAL}
    return _per_image.table(RECORDS, samples, records, **said)


def _optional(name: str, samples: list[Sample], outputs: dict[str, np.ndarray]) -> list[NDArray[Any] | None]:
    """A method's output for the boxes of each image, flat; None without such an output."""
    if name not in outputs:
        return [None] * len(samples)
    values: list[NDArray[Any] | None] = []
    for sample, own, scores in zip(samples, outputs[name], outputs["scores"], strict=True):
        if len(own) != len(scores):
            raise ModelError(f"sample {sample.key!r}: {len(own)} entries of {name} for {len(scores)} boxes")
        values.append(np.asarray(own).ravel())
    return values


def _row(sample: Sample, at: int, outputs: dict[str, np.ndarray], space: LabelSpace) -> dict[str, Any]:
    boxes, scores, classes = _predicted(sample.key, at, outputs, len(space.model_classes))
    true = kept.arrays(sample.fields["boxes"])
    names = [sample.key] * len(true.labels)
    labels = space.labels(true.labels.tolist(), names).astype(np.int64)
    truth = box_matching.Truth(true.xywh, labels, true.areas, true.crowd)
    matched, ignored = box_matching.match(boxes.astype(np.float64), scores.astype(np.float64), classes, truth)
    height, width = sample.fields["image"].shape[:2]
    return {
        "width": width,
        "height": height,
        "boxes": boxes.ravel(),
        "scores": scores,
        "classes": classes,
        "matched": matched,
        "ignored": ignored,
        "true_boxes": true.xywh.ravel(),
        "true_classes": labels,
        "true_areas": true.areas,
        "true_crowd": true.crowd,
    }


def _predicted(
    key: str, at: int, outputs: dict[str, np.ndarray], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """The boxes (k, 4), scores (k,) and classes (k,) of one image, or say what is wrong with them."""
    boxes = np.asarray(outputs["boxes"][at], dtype=np.float32).reshape(-1, 4)
    scores = np.asarray(outputs["scores"][at], dtype=np.float32).reshape(-1)
    classes = np.asarray(outputs["classes"][at]).astype(np.int64).reshape(-1)
    if not len(boxes) == len(scores) == len(classes):
        raise ModelError(
            f"sample {key!r}: {len(boxes)} boxes, {len(scores)} scores and {len(classes)} classes; expected one of "
            "each for every prediction"
        )
    if not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        raise ModelError(f"sample {key!r}: a box or a score is not finite; a model must give finite ones")
    if (boxes[:, 2:] < 0).any():
        raise ModelError(f"sample {key!r}: a box has a negative size; boxes are x, y, width, height")
    if len(classes) and not 0 <= classes.min() <= classes.max() < count:
        wrong = int(classes[(classes < 0) | (classes >= count)][0])
        raise ModelError(f"sample {key!r}: a prediction has the class {wrong}; expected 0 to {count - 1}")
    return boxes, scores, classes
