import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.data import formats, schema, shards
from shiftbench.plugins.detectors import energy, msp
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.statistics import search_tables
from shiftbench.workflow.stages import detector_context, detector_search, overlaps
from shiftbench.workflow.stages.score import score_cell

NAMES = tuple("abcdef")


def rows(n: int = 30, mode: str = "full", features: np.ndarray | None = None) -> Rows:
    logits = np.random.default_rng(5).normal(scale=3, size=(n, len(NAMES))).astype(np.float32)
    samples = [Sample(f"toy/test/{i:03d}", {"label": i % len(NAMES)}) for i in range(n)]
    return Rows(classification.rows(samples, {"logits": logits}, LabelSpace(NAMES, NAMES), mode), features)


def test_scores_keep_keys_and_order() -> None:
    some = rows()
    assert score_cell(msp, {}, some)["key"].to_pylist() == some.keys
    assert len(score_cell(energy, {}, rows(0))) == 0


def test_rows_come_in_blocks_with_all_that_is_beside() -> None:
    some = rows(30, features=np.arange(60, dtype=np.float32).reshape(30, 2))
    parts = list(some.blocks(7))
    assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
    assert [key for part in parts for key in part.keys] == some.keys
    assert np.array_equal(np.concatenate([part.features for part in parts]), some.features)
    assert np.array_equal(np.concatenate([part.logits for part in parts]), some.logits)
    logits = some.logits.astype(np.float64)
    assert np.allclose(some.energy, np.log(np.exp(logits).sum(axis=1)), rtol=1e-12)


def test_bad_input_is_named() -> None:
    some = rows(3)
    broken = SimpleNamespace(__name__="shiftbench.plugins.detectors.mine", PARAMS={}, fit=lambda *_: None)
    broken.score = lambda *_: np.array([0, np.nan, 0])
    with pytest.raises(ModelError, match="detector mine: the score of sample 'toy/test/001' is nan"):
        score_cell(broken, {}, some)  # type: ignore[arg-type]
    broken.score = lambda *_: np.zeros(2)
    with pytest.raises(ModelError, match=r"expected 3 scores, one per sample, found shape \(2,\)"):
        score_cell(broken, {}, some)  # type: ignore[arg-type]
    with pytest.raises(ParamsError, match=r"needs all logits.*set evaluate.outputs: full"):
        score_cell(msp, {}, rows(3, "top20"))
    with pytest.raises(DataError, match="needs features, but none were kept"):
        _ = some.features
    with pytest.raises(DataError, match="2 rows of features for 3 records"):
        _ = rows(3, features=np.zeros((2, 4), dtype=np.float32)).features
    with pytest.raises(DataError, match="FIT does not name 'val'"):
        _ = Known({"train": some}).val


def test_a_head_must_give_the_logits() -> None:
    random = np.random.default_rng(3)
    features = random.normal(size=(30, 4)).astype(np.float32)
    some = rows(30, features=features)
    head = Head(random.normal(size=(6, 4)), random.normal(size=6))
    linear = Rows(some.table, features, head(features).astype(np.float32))
    detector_context.check_head(head, linear)
    with pytest.raises(ModelError, match=r"other logits than the model for sample 'toy/test/\d+'"):
        detector_context.check_head(Head(2 * head.weight, head.bias), linear)
    with pytest.raises(ModelError, match=r"expected a head of shape \(6, 4\).*found \(6, 3\)"):
        detector_context.check_head(Head(head.weight[:, :3], head.bias), linear)


# ---------------------------------------------------------------------- search


def test_a_search_takes_the_first_of_the_best_and_says_what_had_an_effect() -> None:
    areas = {(1, "a"): 0.5, (1, "b"): 0.7, (2, "a"): 0.6, (2, "b"): 0.7}

    def try_out(options: dict[str, Any]) -> float:
        if options["k"] == 3:
            raise ParamsError("k = 3 is more than there are")
        assert options["fixed"] == 0
        return areas[options["k"], options["rule"]]

    grid: dict[str, list[Any]] = {"k": [1, 2, 3], "rule": ["a", "b"]}
    found = detector_search.searched({"fixed": 0}, grid, try_out, "a search")
    assert [row["auroc"] for row in found] == [0.5, 0.7, 0.6, 0.7, None, None]
    (chosen,) = [row for row in found if row["chosen"]]
    assert json.loads(chosen["options"]) == {"k": 1, "rule": "b"}
    assert found[4]["reason"] == "k = 3 is more than there are"
    assert search_tables.effect(found) == {"k": False, "rule": True}
    with pytest.raises(ParamsError, match="no point of the grid.*more than there are"):
        detector_search.searched({"fixed": 0}, {"k": [3]}, lambda o: try_out({**o, "rule": "a"}), "a search")


def test_the_criterion_is_the_mean_area_over_sets() -> None:

    def of(scores: list[float]) -> Rows:
        samples = [Sample(f"toy/test/{i:03d}", {"label": 0}) for i in range(len(scores))]
        logits = np.array([[score, 0.0] for score in scores], np.float32)
        return Rows(classification.rows(samples, {"logits": logits}, LabelSpace(("a", "b"), ("a",)), "full"))

    mine = SimpleNamespace(__name__="mine", score=lambda rows, *_: rows.logits[:, 0].astype(float))
    clean, near, far = of([0, 1, 2, 3]), of([1.5, 2.5]), of([9, 9])
    # By hand: 1.5 is above two of four, 2.5 above three: 5/8; 9 is above all.
    found = detector_search.separation(mine, {}, None, clean, [near, far])  # type: ignore[arg-type]
    assert found == pytest.approx((5 / 8 + 1) / 2)


def test_points_go_through_the_grid_with_the_last_option_fastest() -> None:
    found = list(detector_search.grid_points({"a": [1, 2], "b": [3, 4]}))
    assert found == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]


# -------------------------------------------------------------------- overlaps


def folder(tmp_path: Path, name: str, pixels: dict[str, int]) -> Path:
    made = tmp_path / name
    made.mkdir()
    samples = [
        Sample(f"{name}/{key}", {"image": np.full((4, 4), value, np.uint8), "label": index})
        for index, (key, value) in enumerate(sorted(pixels.items()))
    ]
    shards.write(samples, made, {"image": "png", "label": "cls"}, {"task": "classification"}, 10**6)
    return made


def test_sets_that_share_a_picture_are_refused(tmp_path: Path) -> None:
    clean = folder(tmp_path, "clean", {"1": 10, "2": 20})
    train = folder(tmp_path, "train", {"1": 10, "2": 30})
    other = folder(tmp_path, "other", {"1": 40, "2": 50})
    near = folder(tmp_path, "near", {"7": 20})
    table = overlaps.compared([("id", "clean", clean), ("id", "train", train), ("far", "other", other)])
    found = {(row["set_a"], row["set_b"]): row for row in table.to_pylist()}
    assert found["clean", "train"]["shared_contents"] == 1  # told, and no error: both are ID
    assert not found["clean", "train"]["disjoint"]
    assert found["clean", "other"]["disjoint"]
    assert found["clean", "other"]["shared_contents"] == found["clean", "other"]["shared_keys"] == 0
    with pytest.raises(
        DataError, match=r"near \(near\) and clean \(id\) share 1 .* by content: 'near/7' is .*'clean/2'"
    ):
        overlaps.compared([("id", "clean", clean), ("near", "near", near)])
    with pytest.raises(DataError, match=r"near \(near\) and other .* by key"):
        overlaps.compared([("val_ood", "other", near), ("near", "near", near)])


def test_formats_take_what_the_stage_writes(tmp_path: Path) -> None:
    found = detector_search.searched({}, {"k": [1]}, lambda _: 0.5, "a search")
    table = pa.Table.from_pylist([{**row, "n_id": 3, "n_ood": 4} for row in found], schema=formats.SEARCHES.arrow)
    schema.write(table, tmp_path / "search.parquet", "f", formats.SEARCHES)
    assert schema.read(tmp_path / "search.parquet")["chosen"].to_pylist() == [True]
