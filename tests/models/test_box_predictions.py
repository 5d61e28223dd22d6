"""Published boxes as a model: both layouts, the ids of images, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import box_predictions
from shiftbench.plugins.tasks import LabelSpace, detection

CLASSES = ("cup", "owl")


def sample(key: str) -> Sample:
    true = [{"box": [2.0, 3, 10, 8], "label": 1}]
    return Sample(key, {"image": np.zeros((20, 30, 3), np.uint8), "boxes": true})


def loaded(folder: Path, **options: Any) -> nets.Predictor:
    """Return the predictor, after the weights that the trainer `given` would write."""
    params = {**defaults(box_predictions), "path": str(folder), **options}
    file = folder.with_suffix(".safetensors")
    file.write_bytes(nets.state_bytes(box_predictions.pretrained(params, {}), {}))
    return box_predictions.load(file, params, CLASSES, "cpu", {})


def results(folder: Path, *entries: dict[str, Any], name: str = "cz_b/test") -> Path:
    file = folder / f"{name}.bbox.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(entries))
    return folder


def entry(image: Any, number: int = 2, box: tuple[float, ...] = (2, 3, 10, 8)) -> dict[str, Any]:
    return {"image_id": image, "category_id": number, "bbox": list(box), "score": 0.75}


def test_results_of_mmdetection_are_scored(tmp_path: Path) -> None:
    """Its `CocoMetric` writes such a list; ids are those of the annotations, numbers with twelve digits in keys."""
    predict = loaded(results(tmp_path / "x101", entry(7), entry(7, 1), entry(12)))
    samples = [sample(f"cz_b/test/{number:012d}") for number in (7, 8, 12)]
    found = predict(samples)
    assert [one.tolist() for one in found["classes"]] == [[1, 0], [], [1]]
    table = detection.rows(samples, found, LabelSpace(CLASSES, CLASSES), "full")
    assert [bool(bits[0] & 1) if bits else None for bits in table["matched"].to_pylist()] == [True, None, True]
    by_name = loaded(results(tmp_path / "yolo", entry("street_3", 0)), categories=[1, 0])
    assert by_name([sample("cz_b/test/street_3")])["classes"][0].tolist() == [1]


def test_rows_hold_what_filters_need(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    (folder / "bdd").mkdir(parents=True)
    table = pl.DataFrame(
        {
            "image_id": ["000001", "b"],
            "boxes": [[2.0, 3, 10, 8], []],
            "scores": [[0.5], []],
            "classes": [[1], []],
            "logits": [[[0.1, 0.9]], []],
            "features": [[[1.0, 2.0, 3.0]], []],
        }
    )
    table.write_parquet(folder / "bdd/test.parquet")
    found = loaded(folder)([sample("bdd/test/1"), sample("bdd/test/b")])
    assert found["cell_features"][0].tolist() == [[1, 2, 3]]
    assert [one.shape for one in found["cell_logits"]] == [(1, 2), (0, 2)]
    with pytest.raises(ModelError, match="no row has the image_id 'c', of sample bdd/test/c"):
        loaded(folder)([sample("bdd/test/c")])
    table.with_columns(classes=pl.Series([[2], []])).write_parquet(folder / "bdd/test.parquet")
    with pytest.raises(ModelError, match="image 1 has a class outside of 0 to 1"):
        loaded(folder)([sample("bdd/test/b")])
    table.drop("scores").write_parquet(folder / "bdd/test.parquet")
    with pytest.raises(ModelError, match="has no column 'scores'"):
        loaded(folder)([sample("bdd/test/b")])


def test_what_is_wrong_with_results_is_told(tmp_path: Path) -> None:
    folder, one = results(tmp_path / "x", entry(1)), [sample("cz_b/test/1")]
    predict = loaded(folder)
    with pytest.raises(ModelError, match=r"neither .*cz_c/test.bbox.json nor test.parquet is there"):
        predict([sample("cz_c/test/1")])
    for wrong, why in ((entry(1, 3), "the category 3"), ({"image_id": 1}, "COCO's results"),
                       (entry(1, box=(1, 2)), "2 numbers of boxes")):  # fmt: skip
        with pytest.raises(ModelError, match=why):
            loaded(results(folder, wrong))(one)
    weights = folder.with_suffix(".safetensors")
    results(folder, entry(2))
    params = {**defaults(box_predictions), "path": str(folder)}
    with pytest.raises(ModelError, match="is not the file that"):
        box_predictions.load(weights, params, CLASSES, "cpu", {})
    with pytest.raises(ModelError, match="is no folder with files"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(ParamsError, match="path is missing"):
        box_predictions.pretrained(defaults(box_predictions), {})
    with pytest.raises(ParamsError, match="categories has 1 numbers; expected 2"):
        loaded(folder, categories=[1])
