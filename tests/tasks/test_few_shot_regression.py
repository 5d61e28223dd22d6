import json
from typing import Any

import numpy as np
import pytest

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.tasks import few_shot_regression as task

SPACE = LabelSpace((), ())


def points(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def sample(key: str = "toy/test/0", **fields: Any) -> Sample:
    meta = {"identifier": [1.5, 0.25]}
    own = {"support": points([0, 1]), "query": points([0, 1], [1, 2]), "meta": meta}
    return Sample(key, {**own, **fields})


def test_a_row_has_the_mean_squared_error_of_the_query_points() -> None:
    samples = [sample(), sample("toy/test/1", meta={"group": "far"}), Sample("toy/test/2", {})]
    samples[2] = sample("toy/test/2", meta={})
    outputs = {
        "predictions": np.array([[1, 4], [1, 2], [0, 0]], np.float32),
        "predicted_risk": np.array([-0.5, np.nan, 3.0]),
    }
    table = task.rows(samples, outputs, SPACE, "full")
    assert table["risk_e9"].to_pylist() == [2 * 10**9, 0, 5 * 10**9 // 2]  # (0 + 4) / 2, 0, (1 + 4) / 2
    assert table["predicted_risk_e9"].to_pylist() == [-500_000_000, None, 3_000_000_000]
    assert table["identifier"].to_pylist() == [[1.5, 0.25], None, None]
    assert table["group"].to_pylist() == [None, "far", None]
    assert table.schema.equals(task.schema(0, "top20"))
    del outputs["predicted_risk"]
    assert task.rows(samples, outputs, SPACE, "full")["predicted_risk_e9"].null_count == 3
    none = task.rows([], {"predictions": np.zeros((0, 4))}, SPACE, "full")
    assert none.schema.equals(task.schema(0, "full"))


def test_a_risk_beyond_the_limit_counts_as_the_limit() -> None:
    found = task.rows([sample()], {"predictions": np.array([[1e9, 1e9]])}, SPACE, "full")
    assert found["risk_e9"].to_pylist() == [task.RISK_LIMIT]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"logits": np.zeros((1, 2))}, r"expected predictions of shape \(1, query points\)"),
        ({"predictions": np.zeros((2, 2))}, r"expected predictions of shape \(1, query"),
        ({"predictions": np.zeros((1, 3))}, r"'toy/test/0': predictions have the shape \(3,\); expected \(2,\)"),
        ({"predictions": np.full((1, 2), np.nan)}, "all finite"),
        ({"predictions": np.zeros((1, 2)), "predicted_risk": np.zeros(2)}, r"expected \(1,\)"),
    ],
)
def test_wrong_answers_are_refused(outputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        task.rows([sample()], outputs, SPACE, "full")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"support": [[0, 1]]}, "toy/test/0: support is list ; expected float32"),
        ({"query": np.zeros((2, 2))}, r"query is float64 \(2, 2\); expected float32"),
        ({"query": np.zeros((0, 2), np.float32)}, "one point at least"),
        ({"query": np.zeros((2, 1), np.float32)}, r"query is float32 \(2, 1\)"),
        ({"query": np.zeros((2, 3), np.float32)}, "support has 2 columns and query 3"),
        ({"support": points([0, np.inf])}, "a number of support is not finite"),
    ],
)
def test_what_is_no_task_is_refused(fields: dict[str, Any], message: str) -> None:
    task.check(sample(), [])
    with pytest.raises(DataError, match=message):
        task.check(sample(**fields), [])


def test_a_preview_shows_the_points() -> None:
    found = task.shown(sample(support=points([0.5, 1], [-2, 0.12345])))
    assert found["text"] == "identifier: 1.5, 0.25\nsupport:\n0.5 1\n-2 0.123"
    json.dumps(found)
