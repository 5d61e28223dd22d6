import json
import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

from shiftbench.base.errors import DataError, ModelError
from shiftbench.base.sample import Sample
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.plugins.tasks import few_shot_classification as task

SPACE = LabelSpace((), ())


def labels(*found: int) -> np.ndarray:
    return np.array(found, np.uint8)


def sample(key: str = "toy/test/0", **fields: Any) -> Sample:
    own = {"support": np.zeros((3, 4, 5), np.uint8), "support_labels": labels(0, 1, 0)}
    own |= {"query": np.zeros((2, 4, 5), np.uint8), "query_labels": labels(1, 0)}
    return Sample(key, {**own, "meta": {"identifier": [0.5, 1.0]}, **fields})


def test_a_row_has_the_mean_cross_entropy_of_the_query() -> None:
    logits = np.array([[[0, 0], [0, 0]], [[0, math.log(3)], [900, 0]]])
    outputs = {"logits": logits, "predicted_risk": np.array([0.5, np.nan])}
    table = task.rows([sample(), sample("toy/test/1", meta={})], outputs, SPACE, "full")
    # a guess; -log 3/4 and 0
    wanted = [math.log(2), math.log(4 / 3) / 2]
    assert table["risk_e9"].to_pylist() == pytest.approx([1e9 * one for one in wanted], abs=1)
    assert table["predicted_risk_e9"].to_pylist() == [500_000_000, None]
    assert table["identifier"].to_pylist() == [[0.5, 1.0], None]
    assert table.schema.equals(task.schema(0, "top20"))
    none = task.rows([], {"logits": np.zeros((0, 2, 2))}, SPACE, "full")
    assert none.schema.equals(task.schema(0, "full"))


@pytest.mark.parametrize("classes", [2, 5])
def test_risks_are_those_of_scikit_learn(classes: int) -> None:
    draws = np.random.default_rng(classes)
    for _ in range(20):
        own = np.r_[np.arange(classes), draws.integers(0, classes, 9)].astype(np.uint8)
        logits = 3 * draws.normal(size=(1, len(own), classes))
        shares = np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True)
        table = task.rows([sample(query_labels=own)], {"logits": logits}, SPACE, "full")
        assert table["risk_e9"][0].as_py() / 1e9 == pytest.approx(log_loss(own, shares), abs=1e-8)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"predictions": np.zeros((1, 2))}, r"expected logits of shape \(1, query pictures, cl"),
        ({"logits": np.zeros((2, 2, 2))}, r"expected logits of shape \(1, query"),
        ({"logits": np.zeros((1, 3, 2))}, r"'toy/test/0': logits have the shape \(3, 2\)"),
        ({"logits": np.zeros((1, 2, 1))}, r"have the shape \(2, 1\); expected \(2, 2\), all finite"),
        ({"logits": np.full((1, 2, 2), np.nan)}, "all finite"),
        ({"logits": np.zeros((1, 2, 2)), "predicted_risk": np.zeros(2)}, r"expected \(1,\)"),
    ],
)
def test_other_outputs_are_refused(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        task.rows([sample()], outputs, SPACE, "full")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"support": [[1]]}, "toy/test/0: support is list .*expected uint8"),
        ({"query": np.zeros((2, 4, 5), np.float32)}, "query is float32 .*expected uint8"),
        ({"query": np.zeros((2, 4, 5, 4), np.uint8)}, "or with 3 colours"),
        ({"query": np.zeros((0, 4, 5), np.uint8)}, "one picture at least"),
        ({"query": np.zeros((2, 4, 6), np.uint8)}, r"pictures \(4, 5\) and query of \(4, 6\)"),
        ({"query_labels": labels(1)}, r"query_labels is uint8 \(1,\); expected uint8 \(2,\)"),
        ({"support_labels": np.zeros(3)}, "support_labels is float64"),
        ({"query_labels": labels(2, 0)}, r"labels \[0, 1\]; expected all from 0 to 2"),
        ({"support_labels": labels(0, 2, 0)}, r"labels \[0, 2\]; expected all from 0 to 2"),
    ],
)
def test_what_is_no_task_is_refused(fields: dict[str, Any], message: str) -> None:
    task.check(sample(), [])
    with pytest.raises(DataError, match=message):
        task.check(sample(**fields), [])


def test_a_preview_shows_the_support_a_class_in_a_row() -> None:
    import base64

    from shiftbench.data import codecs

    support = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    row = task.shown(sample(support=support))
    json.dumps(row)
    sheet = codecs.decode("png", base64.b64decode(row["png"]))
    assert np.array_equal(sheet[:4], np.concatenate([support[0], support[2]], axis=1))
    assert np.array_equal(sheet[4:, :5], support[1])
    assert not sheet[4:, 5:].any()
    assert row["text"] == "identifier: 0.5, 1"
    colour = task.shown(sample(support=np.zeros((3, 4, 5, 3), np.uint8)))
    assert codecs.decode("png", base64.b64decode(colour["png"])).shape == (8, 10, 3)
