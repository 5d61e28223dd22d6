"""Filters on predicted boxes: detectors of unknowns score each box by the logits and features of its cell.

Any detector of `detectors/` that needs logits or features is a filter; a row is a box. Each is fitted on the boxes that
the model predicts in `fit_on`. With `matched: false` ID boxes may be objects that nobody labelled.

No box is removed: records have the score of each box under each filter, its rank among the calibrating ID boxes, and
bits that say which filters it passes; metrics with `filter: 2` count what passes the second. Bit 0 is no filter.
`filters_at_recall` has the same bits at another confidence for each filter: that at which what passes finds `recall` of
the true boxes of `calibration`, or as many as it can.

Source: "Mitigating Hallucinations in YOLO-based Object Detection Models", 2025, arXiv:2503.07330: the filter behind a
detector, its threshold at 95% of ID detections. Scores are never flipped (the authors' scripts flip those with an
AUROC below 0.5), and the threshold is the 95th percentile itself, not the nearest vertex of a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.systems.m_hood.methods import _box_scores
from shiftbench.systems.m_hood.methods._box_scores import Detections, Filter, Outputs

SEES = "sample"
TASKS = ("detection",)


class Options(declare.Options):
    fit_on: str = Field("", description="data set whose train split filters are fitted on")
    calibration: str = Field("", description="data set whose test split sets thresholds; neither trained on nor tested")
    filters: dict[str, dict[str, Any]] = Field(
        {"msp": {}, "energy": {}, "max_logit": {}, "mds": {}, "knn": {"k": 10}, "bam": {}},
        description="detectors that are filters, each with its options",
    )
    confidence: float = Field(0.25, ge=0, le=1, description="lowest score of an ID box")
    matched: bool = Field(True, description="whether ID boxes must find a true box")
    pass_rate: float = Field(
        0.95, ge=0, le=1, description="share of the ID boxes of `calibration` that a filter lets pass"
    )
    recall: float = Field(0.8, ge=0, le=1, description="ID recall at which systems are compared")
    keep: bool = Field(True, description="whether records contain logits and features of the boxes")
    images: int = Field(0, ge=0, description="images of `fit_on` that are used, the first ones; 0: all")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The images that filters are fitted on, and those that set their thresholds.

    Raises:
        ParamsError: one of them is not named, or thresholds would be set on images that are tested or learned from.
    """
    for option in ("fit_on", "calibration"):
        if not params[option]:
            raise ParamsError(f"box_filters: {option} is missing; name a dataset")
    if params["calibration"] in (params["fit_on"], params["dataset"]):
        raise ParamsError(
            f"box_filters: calibration is {params['calibration']}, which is also learnt from or tested; name a dataset "
            "of other ID images"
        )
    return [refs.shards(params["fit_on"], "train"), refs.shards(params["calibration"], "test")]


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The detectors, whose code decides what passes."""
    return [("detectors", name) for name in params["filters"]]


def wrap(
    predictor: Callable[[Sequence[Sample]], Outputs], params: dict[str, Any], inputs: Mapping[Ref, Path]
) -> BoxFilters:
    """The predictor with filters that are fitted.

    Raises:
        ParamsError: an option out of range, an unknown detector or option, or other classes in `calibration`.
        DataError: no ID box was found to fit on.
    """
    for option in ("confidence", "pass_rate", "recall"):
        if not 0 <= params[option] <= 1:
            raise RangeError(f"box_filters: {option} is {params[option]:g}; expected 0 to 1")
    train, calibration = (_folder(inputs, params[name]) for name in ("fit_on", "calibration"))
    if shards.manifest(train)["classes"] != shards.manifest(calibration)["classes"]:
        raise ParamsError(f"box_filters: {params['calibration']} has other classes than {params['fit_on']}")
    first = islice(shards.read(train), params["images"] or None)
    detections = _box_scores.predict(predictor, first)
    calibration_boxes = _box_scores.predict(predictor, shards.read(calibration))
    id_boxes = detections.only(_box_scores.chosen(detections, params))
    filters = [
        _box_scores.fit_filter(module, options, id_boxes, calibration_boxes, params)
        for module, options in (_detector(*one) for one in params["filters"].items())
    ]
    level = _box_scores.at_recall(
        calibration_boxes.scores[calibration_boxes.right], calibration_boxes.true, params["recall"]
    )
    return BoxFilters(predictor, filters, level, params)


def _folder(inputs: Mapping[Ref, Path], dataset: str) -> Path:
    return next(path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.parts[0] == dataset)


def _detector(name: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    module = registry.find("detectors", name)
    unknown = options.keys() - registry.defaults(module).keys()
    if unknown:
        raise ParamsError(f"box_filters: {name} has no option {min(unknown)!r}")
    if not set(module.NEEDS) <= {"logits", "features"} or "val" in getattr(module, "FIT", ()):
        raise ParamsError(f"box_filters: {name} needs more than logits and features of a box")
    return module, {**registry.defaults(module), **options}


class BoxFilters:
    """A detector of objects whose boxes are scored by detectors of unknowns.

    Attributes:
        filters: in the order of params.
        level: the confidence at which all boxes find the share of true ones that was asked for.
    """

    def __init__(
        self,
        predictor: Callable[[Sequence[Sample]], Outputs],
        filters: Sequence[Filter],
        level: float,
        params: Mapping[str, Any],
    ) -> None:
        self._predictor, self.filters, self.level = predictor, filters, level
        self._keep: bool = params["keep"]

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
        """The predictor's outputs and, for each image, what the task's OPTIONAL names.

        `ood_scores` and `filter_ranks_e9` are (k, filters), `filters` and `filters_at_recall` (k,).
        """
        outputs = dict(self._predictor(samples))
        detections = _box_scores.join(outputs)
        rows = detections.rows("boxes")
        scores = [one.scores(rows) for one in self.filters]
        flags = np.ones((2, len(detections.scores)), dtype=np.int64)
        flags[1] = detections.scores >= self.level
        ranks = []
        for number, (one, own) in enumerate(zip(self.filters, scores, strict=True), 1):
            inside = own <= one.limit
            flags[0] |= inside.astype(np.int64) << number
            flags[1] |= (inside & (detections.scores >= one.level)).astype(np.int64) << number
            ranks.append(one.ranks(own))
        columns = {
            "ood_scores": _stack(scores, detections).astype(np.float32),
            "filter_ranks_e9": _stack(ranks, detections),
            "filters": flags[0],
            "filters_at_recall": flags[1],
        }
        if self._keep:
            outputs |= {f"kept_{name}": outputs[f"cell_{name}"] for name in ("logits", "features")}
        return outputs | {name: _by_image(values, detections) for name, values in columns.items()}


def _stack(columns: Sequence[NDArray[Any]], detections: Detections) -> NDArray[Any]:
    return np.stack(columns, axis=1) if columns else np.zeros((len(detections.scores), 0))


def _by_image(values: NDArray[Any], detections: Detections) -> NDArray[Any]:
    whole = np.empty(len(detections.sizes), dtype=object)
    for at, part in enumerate(np.split(values, np.cumsum(detections.sizes)[:-1])):
        whole[at] = part
    return whole
