"""Filters of boxes: box abstraction against loops, thresholds, and metrics of what is left."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ModelError, ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.plugins.tasks import LabelSpace, detection
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Rows as Columns
from shiftbench.systems.m_hood.detectors import bam
from shiftbench.systems.m_hood.methods import _box_scores, box_filters
from shiftbench.systems.m_hood.metrics.filtered_boxes import box_auroc, box_fpr, box_recall, hallucinations

CLASSES = ("cup", "owl")


def rows(features: np.ndarray, predictions: np.ndarray) -> Rows:
    table = pa.table(
        {
            "key": [f"b/{at}" for at in range(len(features))],
            "label": predictions.astype(np.int32),
            "prediction": predictions.astype(np.int32),
        }
    )
    return Rows(table, features.astype(np.float32), features.astype(np.float32), name="toy")


# --- box abstraction --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def monitored() -> tuple[Rows, Any, dict[str, Any]]:
    draw = np.random.default_rng(0)
    known = rows(draw.normal(size=(330, 4)), np.repeat([0, 1, 2], [200, 100, 30]))
    params = dict(defaults(bam))
    return known, bam.fit(Known({"train": known}), params), params


def test_training_points_have_distance_zero(monitored: tuple[Rows, Any, dict[str, Any]]) -> None:
    known, state, params = monitored
    own = known.predictions < 2
    assert (bam.score(known, state, params)[own] == 0).all()
    assert {label: len(low) for label, (low, _) in state.items()} == {0: 4, 1: 2}


def test_the_distance_is_that_of_a_loop(monitored: tuple[Rows, Any, dict[str, Any]]) -> None:
    _, state, params = monitored
    some = rows(3 * np.random.default_rng(1).normal(size=(40, 4)), np.arange(40) % 2)
    found = bam.score(some, state, params)
    for at in range(40):
        low, high = state[int(some.predictions[at])]
        apart = [
            sum(max(low[j][d] - z, 0) + max(z - high[j][d], 0) for d, z in enumerate(some.features[at].astype(float)))
            for j in range(len(low))
        ]
        assert found[at] == pytest.approx(min(apart), abs=1e-12)


def test_an_unseen_class_and_one_of_few_samples_are_rejected(monitored: tuple[Rows, Any, dict[str, Any]]) -> None:
    known, state, params = monitored
    some = rows(known.features[:2], np.array([2, 7]))
    assert (bam.score(some, state, params) == bam.UNSEEN).all()
    with pytest.raises(ParamsError, match="per_cluster is 0"):
        bam.fit(Known({"train": known}), {"per_cluster": 0, "least": 1})


# --- thresholds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 19, 20, 21, 137])
def test_95_per_cent_of_the_calibration_pass_within_one(count: int) -> None:
    known = np.sort(np.random.default_rng(count).normal(size=count))
    assert abs((known <= _box_scores.quantile(known, 0.95)).sum() - 0.95 * count) <= 1


def test_confidence_at_recall_is_the_highest_that_finds_enough() -> None:
    found = np.array([0.9, 0.2, 0.6, 0.4])
    assert _box_scores.at_recall(found, 5, 0.6) == 0.4
    assert _box_scores.at_recall(found, 5, 0.8) == 0.2
    assert _box_scores.at_recall(found, 5, 0.9) == 0.0


# --- the method -------------------------------------------------------------------------------------


def boxed(key: str, seed: int, *labels: int) -> Sample:
    """Return an image with a grey square for each label: its grey is what the predictor below reads."""
    image = np.full((20, 60, 3), seed % 50, dtype=np.uint8)
    boxes = [{"box": [20.0 * at, 4.0, 8.0, 8.0], "label": y} for at, y in enumerate(labels)]
    return Sample(key, {"image": image, "boxes": boxes})


def predictor(samples: Any) -> dict[str, np.ndarray]:
    """Find the true boxes, and one more that is wrong; features are around the class's mean."""
    out: dict[str, list[Any]] = {name: [] for name in ("boxes", "scores", "classes", "cell_logits", "cell_features")}
    for sample in samples:
        draw = np.random.default_rng(zlib.crc32(sample.key.encode()))
        true = sample.fields["boxes"]
        labels = np.array([box["label"] for box in true] + [0])
        boxes = np.array([box["box"] for box in true] + [[50.0, 0.0, 5.0, 5.0]])
        far = np.append(np.zeros(len(true)), 4.0)
        features = labels[:, None] * 6.0 + draw.normal(size=(len(labels), 3)) + far[:, None]
        out["boxes"].append(boxes.astype(np.float32))
        out["scores"].append((0.2 + 0.8 * draw.random(len(labels))).astype(np.float32))
        out["classes"].append(labels)
        out["cell_logits"].append(features[:, :2].astype(np.float32))
        out["cell_features"].append(features.astype(np.float32))
    found = {}
    for name, values in out.items():
        found[name] = np.empty(len(values), dtype=object)
        found[name][:] = values
    return found


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    tmp = tmp_path_factory.mktemp("mhood")
    found = {}
    for name, split in (("known", "train"), ("held", "test")):
        samples = [boxed(f"{name}/{split}/{n:03d}", n, n % 2, (n + 1) % 2) for n in range(80)]
        folder = tmp / name
        folder.mkdir()
        about = {"classes": list(CLASSES), "task": "detection"}
        shards.write(samples, folder, detection.FIELDS, about, 10**7)
        found[refs.shards(name, split)] = folder / "manifest.json"
    return found


def options(**more: Any) -> dict[str, Any]:
    return {**defaults(box_filters), "fit_on": "known", "calibration": "held", **more}


TESTED = [boxed(f"test/test/{n:03d}", n, n % 2) for n in range(40)]


def records(method: Any) -> pa.Table:
    return detection.rows(TESTED, method(TESTED), LabelSpace(CLASSES, CLASSES), "full")


def value(metric: Any, table: pa.Table, **more: Any) -> float:
    params = {**defaults(metric), **more}
    ones = np.ones((len(table), 1), dtype=np.uint8)
    (sums,) = weighted_sums([metric.reduce(Columns(table), **params)], ones)
    return float(metric.finish(sums, **params)[0])


def test_filters_keep_what_they_are_calibrated_to_keep(inputs: dict[Any, Path]) -> None:
    method = box_filters.wrap(predictor, options(), inputs)
    held = _box_scores.predict(predictor, list(shards.read(inputs[refs.shards("held", "test")].parent)))
    confident = held.right & (held.scores >= 0.25)
    for one in method.filters:
        inside = one.scores(held.rows("held")) <= one.limit
        assert abs(inside[confident].sum() - 0.95 * confident.sum()) <= 1
        level = inside & held.right & (held.scores >= one.level)
        assert level.sum() == np.ceil(0.8 * held.true)
    table = records(method)
    assert table.schema.equals(detection.schema(2, "full"))
    width = len(method.filters)
    row = table.to_pylist()[0]
    assert len(row["ood_scores"]) == len(row["filter_ranks_e9"]) == width * len(row["scores"])
    assert len(row["kept_features"]) == 3 * len(row["scores"])
    without = records(box_filters.wrap(predictor, options(keep=False), inputs))
    assert without.column("kept_features").null_count == len(TESTED)


def test_metrics_are_those_of_a_loop(inputs: dict[Any, Path]) -> None:
    method = box_filters.wrap(predictor, options(), inputs)
    table = records(method)
    one = method.filters[5]
    left, all_, ranks, hits, true = 0, 0, 0.0, 0, 0
    for sample in TESTED:
        found = _box_scores.join(predictor([sample]))
        own = one.scores(found.rows("x"))
        right = np.arange(len(own)) < len(sample.fields["boxes"])
        for score, ood, is_right in zip(found.scores, own, right, strict=True):
            if score >= 0.25:
                all_ += 1
                left += ood <= one.limit
                ranks += float(np.mean((one.known < ood) + 0.5 * (one.known == ood)))
                hits += bool(is_right and ood <= one.limit)
        true += len(sample.fields["boxes"])
    assert value(hallucinations, table) == pytest.approx(all_ / len(TESTED))
    assert value(hallucinations, table, filter=6) == pytest.approx(left / len(TESTED))
    assert value(box_fpr, table, filter=6) == pytest.approx(left / all_)
    assert value(box_auroc, table, filter=6) == pytest.approx(ranks / all_, abs=1e-8)
    assert value(box_recall, table, filter=6) == pytest.approx(hits / true)
    assert value(box_recall, table, at_recall=True) == pytest.approx(0.8, abs=0.15)
    assert np.isnan(value(hallucinations, table, clean=True))  # each image holds an ID object
    assert value(box_fpr, table, filter=6, confidence=0.0) < 0.8


def test_what_is_wrong_with_filters_is_said(inputs: dict[Any, Path]) -> None:
    context = {"dataset": "known"}
    with pytest.raises(ParamsError, match="fit_on is missing"):
        box_filters.needs({**defaults(box_filters), **context})
    for same in ("known", "other"):
        with pytest.raises(ParamsError, match="also learnt from or tested"):
            box_filters.needs({**options(fit_on="other"), "calibration": same, "dataset": "known"})
    assert box_filters.uses(options())[0] == ("detectors", "msp")
    for wrong, message in (
        ({"filters": {"knn": {"size": 1}}}, "knn has no option 'size'"),
        ({"filters": {"vim": {}}}, "vim needs more than logits and features"),
        ({"pass_rate": 1.5}, "pass_rate is 1.5"),
        ({"confidence": 1.0}, "none is right with a confidence of 1"),
    ):
        with pytest.raises((ParamsError, RangeError, DataError), match=message):
            box_filters.wrap(predictor, options(**wrong), inputs)

    def bare(samples: Any) -> dict[str, np.ndarray]:
        return {k: v for k, v in predictor(samples).items() if k != "cell_features"}

    with pytest.raises(ModelError, match="gives no cell_features"):
        box_filters.wrap(bare, options(), inputs)
    table = detection.rows(TESTED, predictor(TESTED), LabelSpace(CLASSES, CLASSES), "full")
    assert value(hallucinations, table) > 0
    with pytest.raises(ParamsError, match="hold no filters of boxes"):
        value(hallucinations, table, filter=1)
    with pytest.raises(ParamsError, match="expected 0 to 1"):
        value(hallucinations, table, confidence=2.0)
    short = predictor(TESTED) | {"filters": np.full(len(TESTED), None)}
    short["filters"][:] = [np.zeros(1)] * len(TESTED)
    with pytest.raises(ModelError, match=r"1 entries of filters for 2 boxes"):
        detection.rows(TESTED, short, LabelSpace(CLASSES, CLASSES), "full")
