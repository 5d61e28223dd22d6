"""Average precision and recall equal pycocotools on random and degenerate sets; a weight is a number of copies."""

import contextlib
import io
from typing import Any

import faster_coco_eval
import numpy as np
import pyarrow as pa
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace, detection
from shiftbench.statistics.rows import Rows

CLASSES = ("cat", "dog", "owl")
SIDE = 200
STATS = {"map": 0, "map50": 1, "map75": 2, "map_small": 3, "map_medium": 4, "map_large": 5, "ar": 8}
Image = tuple[list[dict[str, Any]], np.ndarray, np.ndarray, np.ndarray]
"""True boxes; predicted boxes (k, 4), scores (k,), classes (k,)."""


def image(
    random: np.random.Generator, true: int = 5, found: int = 12, *, crowd: float = 0.1, ties: bool = True
) -> Image:
    """Return true boxes of all sizes and predictions near some of them."""
    sides = np.exp(random.uniform(np.log(4), np.log(150), (true, 2)))
    corners = random.uniform(0, 1, (true, 2)) * (SIDE - sides)
    boxes = [
        {"box": [*corner, *side], "label": int(random.integers(3)), "area": float(side.prod() * random.uniform(0.5, 1)),
         "crowd": bool(random.random() < crowd)}
        for corner, side in zip(corners.tolist(), sides, strict=True)
    ]  # fmt: skip
    for box in boxes:
        box["box"] = [float(v) for v in box["box"]]
    place = random.integers(0, max(true, 1), found)
    near = np.array([boxes[i]["box"] for i in place] if true else random.uniform(1, 50, (found, 4))).reshape(-1, 4)
    near = np.abs(near + random.normal(scale=near[:, 2:].mean(axis=1, keepdims=True) * 0.12, size=near.shape))
    labels = np.array([boxes[i]["label"] for i in place] if true else random.integers(0, 3, found))
    wrong = random.random(found) < 0.2
    labels = np.where(wrong, random.integers(0, 3, found), labels)
    scores = random.random(found)
    scores = np.round(scores, 1) if ties else scores
    return boxes, near.astype(np.float32), scores.astype(np.float32), labels.astype(np.int64)


def records(images: list[Image]) -> pa.Table:
    samples = [
        Sample(f"toy/test/{i:03d}", {"image": np.zeros((SIDE, SIDE), np.uint8), "boxes": boxes})
        for i, (boxes, *_) in enumerate(images)
    ]
    outputs = {}
    for at, name in enumerate(("boxes", "scores", "classes"), 1):
        outputs[name] = np.empty(len(images), dtype=object)
        for i, one in enumerate(images):
            outputs[name][i] = one[at]
    return detection.rows(samples, outputs, LabelSpace(CLASSES, CLASSES), "full")


def reference(images: list[Image], store: Any = COCO, evaluation: Any = COCOeval) -> dict[str, float]:
    """Return what pycocotools says, or a library with its interface; -1 (no true box) is NaN."""
    truth = store()
    annotations = [
        {"id": 1 + 1000 * i + j, "image_id": i, "category_id": box["label"], "bbox": box["box"], "area": box["area"],
         "iscrowd": int(box["crowd"])}
        for i, (boxes, *_) in enumerate(images)
        for j, box in enumerate(boxes)
    ]  # fmt: skip
    truth.dataset = {
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": c} for c in range(3)],
        "annotations": annotations,
    }
    results = [
        {"image_id": i, "category_id": int(label), "bbox": [float(v) for v in box], "score": float(score)}
        for i, (_, *found) in enumerate(images)
        for box, score, label in zip(*found, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        judge = evaluation(truth, truth.loadRes(results) if results else store(), "bbox")
        if not results:
            judge.cocoDt.dataset = {**truth.dataset, "annotations": []}
            judge.cocoDt.createIndex()
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {name: judge.stats[at] if judge.stats[at] > -1 else np.nan for name, at in STATS.items()}


def value(name: str, table: pa.Table, weights: np.ndarray | None = None, **options: Any) -> np.ndarray:
    metric = registry.find("metrics", name)
    weights = np.ones((len(table), 1), dtype=np.uint8) if weights is None else weights
    found: np.ndarray = metric.compute(Rows(table), weights, **{**defaults(metric), **options})
    return found


def perfect(boxes: list[dict[str, Any]]) -> Image:
    """Return boxes in whole pixels, each found exactly."""
    whole = [{**box, "box": [round(v) + 1.0 for v in box["box"]]} for box in boxes]
    places = np.array([box["box"] for box in whole], np.float32)
    return whole, places, np.ones(len(whole), np.float32), np.array([box["label"] for box in whole])


def sets() -> dict[str, list[Image]]:
    random = np.random.default_rng(0)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    some = [image(random) for _ in range(20)]
    return {
        "ties and crowds": some,
        "no ties": [image(random, ties=False, crowd=0) for _ in range(20)],
        "crowds": [image(random, crowd=0.6) for _ in range(10)],
        "equal scores": [(b, p, s * 0 + 1, c) for b, p, s, c in some],
        "nothing found": [(boxes, *nothing) for boxes, *_ in some],
        "nothing there": [image(random, true=0) for _ in range(5)],
        "only crowds": [image(random, crowd=1) for _ in range(5)],
        "neither": [([], *nothing)] * 3,
        "some without": [*some[:4], ([], *some[5][1:]), (some[6][0], *nothing), image(random, true=0)],
        "one class": [(b, p, s, c * 0) for b, p, s, c in some],
        "more than a hundred": [image(random, found=400, ties=False) for _ in range(4)],
        "perfect": [perfect(one[0]) for one in some],
    }


@pytest.mark.parametrize("name", sets())
def test_values_are_those_of_pycocotools(name: str) -> None:
    images = sets()[name]
    table = records(images)
    expected = reference(images)
    found = {metric: value(metric, table)[0] for metric in STATS}
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", ["no ties", "crowds", "some without"])
def test_values_are_those_of_faster_coco_eval(name: str) -> None:
    images = sets()[name]
    expected = reference(images, faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster)
    found = {metric: value(metric, records(images))[0] for metric in STATS}
    assert found == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_recall_of_few_detections_is_that_of_pycocotools() -> None:
    random = np.random.default_rng(1)
    images = [image(random, found=60) for _ in range(10)]
    names = {1: 6, 10: 7}
    table = records(images)
    truth = reference(images)
    with pytest.MonkeyPatch.context() as patch:
        for detections, at in names.items():
            patch.setitem(STATS, "ar", at)
            expected = reference(images)["ar"]
            assert value("ar", table, max_dets=detections)[0] == pytest.approx(expected, abs=1e-9)
    assert value("ar", table)[0] == pytest.approx(truth["ar"], abs=1e-9)


def test_a_weight_is_a_number_of_copies() -> None:
    random = np.random.default_rng(2)
    images = [image(random, ties=False) for _ in range(12)]
    table = records(images)
    weights = random.poisson(1, (12, 8)).astype(np.uint8)
    for name in STATS:
        for draw, found in enumerate(value(name, table, weights)):
            copies = [images[i] for i in np.repeat(np.arange(12), weights[:, draw])]
            assert found == pytest.approx(reference(copies)[name], abs=1e-9, nan_ok=True)
    assert np.isnan(value("map", table, weights * np.uint8(0))).all()


def test_the_mean_over_draws_is_near_the_value() -> None:
    random = np.random.default_rng(3)
    table = records([image(random) for _ in range(200)])
    weights = np.concatenate([np.ones((200, 1)), random.poisson(1, (200, 500))], axis=1)
    values = value("map", table, weights.astype(np.uint8))
    assert values[1:].mean() == pytest.approx(values[0], abs=0.003)


def test_classes_and_options() -> None:
    random = np.random.default_rng(4)
    table = records([image(random, crowd=0) for _ in range(20)])
    each = [value("map", table, classes=[label])[0] for label in range(3)]
    assert np.mean(each) == pytest.approx(value("map", table)[0], abs=1e-12)
    with pytest.raises(ParamsError, match="area: 'smal' .did you mean small"):
        value("map", table, area="smal")
    with pytest.raises(ParamsError, match=r"iou: 0.52; expected 0 .all. or one of 0.5, 0.55"):
        value("map", table, iou=0.52)
    with pytest.raises(ParamsError, match="max_dets: 101; expected 1 to 100"):
        value("map", table, max_dets=101)
