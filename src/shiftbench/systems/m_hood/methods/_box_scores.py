"""Predicted boxes as rows of a detector of unknowns, and the thresholds of what passes; helper of `box_filters`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import boxes as kept
from shiftbench.data.formats import E9
from shiftbench.evaluation.batching import batches
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.statistics import box_matching

Floats = NDArray[np.float64]
Outputs = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Detections:
    """The predicted boxes of several images, one after the other.

    Attributes:
        logits, features: of their cells, float32 (m, C) and (m, d).
        classes: predicted, int64 (m,).
        scores: float32 (m,).
        right: whether they find a true box of their class (IoU 0.5, COCO's matching), bool (m,).
        sizes: how many each image has, int64 (n,).
        true: number of true boxes, crowds left out.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    sizes: NDArray[np.int64]
    true: int

    def only(self, mask: NDArray[np.bool_]) -> Detections:
        """Some of the boxes; `sizes` no longer count those of the images."""
        return Detections(
            self.logits[mask],
            self.features[mask],
            self.classes[mask],
            self.scores[mask],
            self.right[mask],
            self.sizes,
            self.true,
        )

    def rows(self, name: str) -> Rows:
        """The boxes as rows for detectors; the prediction of a row is the class of its box.

        Labels are the predicted classes, numbered through, so that a class without a box is none: true ones are not
        known of a box that is wrong (as in the authors' code, where such a class has a mean of zeros).
        """
        _, labels = np.unique(self.classes, return_inverse=True)
        table = pa.table(
            {
                "key": [f"{name}/{at}" for at in range(len(self.classes))],
                "label": labels.astype(np.int32),
                "prediction": self.classes.astype(np.int32),
            }
        )
        return Rows(table, self.features, self.logits, name=name)


def join(outputs: Outputs) -> Detections:
    """The boxes of a detector's outputs; none is right, none is true.

    Raises:
        ModelError: the outputs have no logits or features of their cells.
    """
    missing = {"cell_logits", "cell_features"} - outputs.keys()
    if missing:
        raise ModelError(
            f"box_filters: this model gives no {min(missing)}, which filters score boxes by; choose a model whose "
            "detections hold logits and features"
        )
    scores = np.concatenate([*outputs["scores"], np.zeros(0, np.float32)])
    return Detections(
        np.concatenate(list(outputs["cell_logits"])),
        np.concatenate(list(outputs["cell_features"])),
        np.concatenate(list(outputs["classes"])).astype(np.int64),
        scores,
        np.zeros(len(scores), dtype=bool),
        np.array([len(one) for one in outputs["scores"]], dtype=np.int64),
        0,
    )


def predict(predictor: Callable[[Sequence[Sample]], Outputs], samples: Iterable[Sample], batch: int = 64) -> Detections:
    """Boxes that a detector predicts in labelled images, and whether they are right; one batch in memory at a time."""
    parts, flags, true = [], [], 0
    for some in batches(samples, batch):
        outputs = predictor(some)
        parts.append(join(outputs))
        for number, sample in enumerate(some):
            is_right, count = _are_right(sample, number, outputs)
            flags.append(is_right)
            true += count
    if not parts:
        raise DataError("box_filters: no images to fit on; take more of the split")
    return Detections(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate(flags),
        np.concatenate([part.sizes for part in parts]),
        true,
    )


def _are_right(sample: Sample, at: int, outputs: Outputs) -> tuple[NDArray[np.bool_], int]:
    true = kept.arrays(sample.fields["boxes"])
    truth = box_matching.Truth(true.xywh, true.labels, true.areas, true.crowd)
    matched, ignored = box_matching.match(
        outputs["boxes"][at].astype(np.float64),
        outputs["scores"][at].astype(np.float64),
        outputs["classes"][at].astype(np.int64),
        truth,
    )
    return (matched & ~ignored & (1 << box_matching.bit("all", 0))) > 0, int((~true.crowd).sum())


@dataclass(frozen=True)
class Filter:
    """One detector of unknowns, fitted on boxes, and what passes.

    Attributes:
        module, options, state: the detector.
        known: its scores of the ID boxes that calibrate it, rising, float64 (m,).
        limit: the highest score that passes.
        level: the lowest confidence at which what passes finds the share of true boxes that was asked for.
    """

    module: ModuleType
    options: dict[str, Any]
    state: Any
    known: Floats
    limit: float
    level: float

    def scores(self, rows: Rows) -> Floats:
        """OOD score of each box, float64 (m,); higher = more OOD."""
        distances: Floats = self.module.score(rows, self.state, self.options)
        return distances

    def ranks(self, scores: Floats) -> NDArray[np.int64]:
        """The share of calibrating boxes below each score, ties by half, in billionths, int64 (m,)."""
        places = [np.searchsorted(self.known, scores, side) for side in ("left", "right")]
        shares: Floats = (places[0] + places[1]) / (2 * len(self.known))
        return np.rint(shares * E9).astype(np.int64)


def fit_filter(
    module: ModuleType, options: dict[str, Any], train: Detections, calibration: Detections, ask: Mapping[str, Any]
) -> Filter:
    """Fit a detector on boxes of training images, and set its thresholds on boxes of images held out.

    Args:
        module: of `detectors/`.
        options: all of its options.
        train: boxes that it is fitted on.
        calibration: all boxes of the images held out.
        ask: `confidence`, `matched`, `pass_rate` and `recall`, as `box_filters` has them.
    """
    state = module.fit(Known({"train": train.rows("training boxes")}), options)
    scores = module.score(calibration.rows("boxes held out"), state, options)
    id_scores = np.sort(scores[chosen(calibration, ask)])
    limit = quantile(id_scores, ask["pass_rate"])
    hits = calibration.scores[calibration.right & (scores <= limit)]
    return Filter(module, options, state, id_scores, limit, at_recall(hits, calibration.true, ask["recall"]))


def chosen(detections: Detections, ask: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Mask of the boxes that represent ID, bool (m,): confident ones that are right (or all that are confident).

    Raises:
        DataError: there are none.
    """
    mask: NDArray[np.bool_] = detections.scores >= ask["confidence"]
    mask = mask & detections.right if ask["matched"] else mask
    if not mask.any():
        raise DataError(
            f"box_filters: of {len(mask)} boxes none is right with a confidence of {ask['confidence']:g}; train "
            "longer, or ask for less"
        )
    return mask


def quantile(rising: Floats, share: float) -> float:
    """The lowest of the scores up to which `share` of them lie: of n, share * n rounded up.

    Example:
        >>> quantile(np.arange(1.0, 21.0), 0.95)
        19.0
    """
    return float(rising[max(0, math.ceil(round(share * len(rising), 9)) - 1)])


def at_recall(scores: NDArray[np.floating], true: int, recall: float) -> float:
    """The highest confidence at which boxes that are right find `recall` of the true ones; 0: they never do."""
    number = math.ceil(round(recall * true, 9))
    falling = -np.sort(-scores)
    return float(falling[number - 1]) if 0 < number <= len(falling) else 0.0
