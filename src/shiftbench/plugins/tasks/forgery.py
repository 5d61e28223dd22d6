"""An image is real, fully synthetic or tampered with, and of a tampered one the changed pixels are to be found.

A sample has an `image` and a `label`; where pixels of a real image were replaced it has a `mask`, uint8 (h, w), 255 on
them and 0 elsewhere. A dataset that has the class `tampered` has a mask for each of its samples and for no other: what
there is to find in a real or a wholly synthetic image is not defined, so that it counts for no measure of masks.
`meta.group` may be the generator, so that metrics also come for each; `meta.cluster` what is resampled together.

A model gives `logits` (n, C) and may give `masks`, an object array (n,) of float or bool (h, w), in pixels of each
image, in which a pixel is called tampered from `CALLED` on. Masks are compared once, here: true and false pixels of
each tampered image, so that metrics only count. The binary fold, everything but `real` is a fake, has the log-odds of
a fake as its score; models or datasets without the class `real` have none.

Shifts that move pixels are refused, since masks do not follow them (`STILL`).

Source: the protocol of So-Fake, arXiv:2505.18660, and of SID-Set (Huang et al. 2025, arXiv:2412.04292).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.base.errors import DataError, ModelError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data.formats import E9, Column, Format
from shiftbench.plugins.tasks import _classified, _shown
from shiftbench.plugins.tasks._classes import LabelSpace

FIELDS = {"image": "png", "mask": "mask.png", "label": "cls", "meta": "json"}
REQUIRED = ("image", "label")
STILL = ("mask",)
"""Fields in pixels of the image that do not follow where a shift moves pixels."""
METRICS = (*_classified.METRICS, *("balanced_accuracy", "macro_f1", "recall", "fake_auroc"), *("mean_iou", "pixel_f1"))
REAL, TAMPERED = "real", "tampered"
CALLED = 0.5
LIMIT = 1_000_000
"""Largest log-odds that is kept, in nats."""

_OWN = (
    Column("fake_e9", pa.int64(), "1e-9 nat", "log-odds that the image is not real", -LIMIT * E9, LIMIT * E9,
           nullable=True),
    Column("fake", pa.bool_(), "", "label is not `real`; null: no such class, or no label", nullable=True),
    Column("called", pa.bool_(), "", "prediction is `tampered`; null: the model has no such class", nullable=True),
    Column("mask_hit", pa.int64(), "pixel", "tampered and called so; null: no mask to be found, or none given", 0,
           nullable=True),
    Column("mask_false", pa.int64(), "pixel", "called tampered and not so, likewise", 0, nullable=True),
    Column("mask_missed", pa.int64(), "pixel", "tampered and not called so, likewise", 0, nullable=True),
)  # fmt: skip


def _format(outputs: str, base: Format) -> Format:
    meaning = "As those of classification, with the binary fold and the pixels of masks."
    return Format(f"records/forgery/{outputs}", meaning, base.key, (*base.columns, *_OWN))


_FORMS = {outputs: _format(outputs, base) for outputs, base in _classified.FORMATS.items()}
FORMATS = tuple(_FORMS.values())


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema for `outputs` `full` or `top20` (the same for any number of classes)."""
    return _form(outputs).arrow


def _form(outputs: str) -> Format:
    if outputs not in _FORMS:
        raise ParamsError(f"evaluate.outputs is {outputs!r} ({suggest(outputs, _FORMS)})")
    return _FORMS[outputs]


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a label that no class has, and a mask that is missing, needless, empty or of another size."""
    _classified.check(sample, classes)
    mask = sample.fields.get("mask")
    if TAMPERED in classes:
        tampered = classes[sample.fields["label"]] == TAMPERED
        if tampered != (mask is not None):
            state = "without a mask" if tampered else "with a mask"
            raise DataError(
                f"{sample.key}: a sample of class {classes[sample.fields['label']]!r} {state}; expected one for each "
                "tampered image and for no other"
            )
    if mask is None:
        return
    shape = sample.fields["image"].shape[:2]
    if mask.shape != shape or mask.dtype != np.uint8:
        raise DataError(
            f"{sample.key}: the mask is {mask.dtype} {mask.shape}; expected uint8 {shape}, as large as the image"
        )
    if not np.isin(mask, (0, 255)).all() or not mask.any():
        raise DataError(f"{sample.key}: a mask is 255 on tampered pixels, of which there are some, and 0 elsewhere")


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: the image, and `areas`, the tampered pixels as rectangles."""
    row = _shown.shown(sample)
    return row | {"areas": areas(sample.fields["mask"])} if "mask" in sample.fields else row


def areas(mask: NDArray[np.uint8]) -> list[list[int]]:
    """Rectangles x, y, w, h that hold the marked pixels of a mask and no others, in order of y and x.

    Example:
        >>> areas(np.array([[0, 255, 255, 0, 255], [0, 255, 255, 0, 0]], np.uint8))
        [[1, 0, 2, 2], [4, 0, 1, 1]]
    """
    steps = np.diff(np.pad((mask > 0).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    (lines, begin), (_, end) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    rectangles: list[list[int]] = []
    above: dict[tuple[int, int], list[int]] = {}
    for y in range(len(mask)):
        own = {}
        for x, stop in zip(begin[lines == y].tolist(), end[lines == y].tolist(), strict=True):
            own[x, stop] = above.get((x, stop), [x, y, stop - x, 0])
            own[x, stop][3] += 1
        rectangles += [area for span, area in own.items() if span not in above]
        above = own
    return rectangles


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in the order of the samples.

    `samples`: n samples with a `label`; `meta` may hold `group` and `cluster`.
    `outputs`: `logits` float (n, C), maybe `masks`, object (n,); see above.
    """
    form = _form(outputs_mode)
    table = _classified.rows(samples, outputs, space, outputs_mode)
    own: dict[str, list[Any]] = {"fake_e9": _log_odds(samples, outputs, space)}
    own |= {"fake": _fake(table, space), "called": _called(table, space), **_pixels(samples, outputs)}
    for column in _OWN:
        table = table.append_column(column.name, pa.array(own[column.name], column.dtype))
    return table.cast(form.arrow)


def _log_odds(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace) -> list[int | None]:
    """Log P(not real) - log P(real) over the classes that can occur, in billionths."""
    names = [space.model_classes[at] for at in space.allowed]
    if REAL not in names or len(names) < 2:
        return [None] * len(samples)
    logits = np.asarray(outputs["logits"], dtype=np.float64)[:, space.allowed]
    at = names.index(REAL)
    odds = logsumexp(np.delete(logits, at, axis=1), axis=1) - logits[:, at]
    return [round(float(one) * E9) for one in np.clip(odds, -LIMIT, LIMIT)]


def _fake(table: pa.Table, space: LabelSpace) -> list[bool | None]:
    if REAL not in space.model_classes:
        return [None] * len(table)
    at = space.model_classes.index(REAL)
    return [None if one < 0 else one != at for one in table["label"].to_pylist()]


def _called(table: pa.Table, space: LabelSpace) -> list[bool | None]:
    if TAMPERED not in space.model_classes:
        return [None] * len(table)
    at = space.model_classes.index(TAMPERED)
    return [one == at for one in table["prediction"].to_pylist()]


def _pixels(samples: list[Sample], outputs: dict[str, np.ndarray]) -> dict[str, list[int | None]]:
    """The three counts of pixels of each sample, None where there is no mask on a side."""
    pixels: dict[str, list[int | None]] = {"mask_hit": [], "mask_false": [], "mask_missed": []}
    masks = outputs.get("masks")
    if masks is not None and len(masks) != len(samples):
        raise ModelError(f"{len(masks)} masks for {len(samples)} images; expected one for each")
    for at, sample in enumerate(samples):
        true = sample.fields.get("mask")
        counts: tuple[int | None, ...] = (None, None, None)
        if true is not None and masks is not None:
            counts = _counts(true > 0, _marked(sample, masks[at]))
        for column, count in zip(pixels.values(), counts, strict=True):
            column.append(count)
    return pixels


def _marked(sample: Sample, mask: Any) -> NDArray[np.bool_]:
    """Pixels that a model predicts as tampered."""
    values, shape = np.asarray(mask), sample.fields["image"].shape[:2]
    if values.shape != shape:
        raise ModelError(f"sample {sample.key!r}: the mask is {values.shape}; expected {shape}, in pixels of the image")
    if values.dtype.kind not in "bf" or not np.isfinite(values).all():
        raise ModelError(
            f"sample {sample.key!r}: a mask of {values.dtype}; expected bool, or finite float, "
            f"tampered from {CALLED} on"
        )
    marked: NDArray[np.bool_] = values >= CALLED
    return marked


def _counts(true: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[int, int, int]:
    hit, called, tampered = int((true & predicted).sum()), int(predicted.sum()), int(true.sum())
    return hit, called - hit, tampered - hit
