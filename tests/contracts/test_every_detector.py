from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from shiftbench import plugins, schema
from shiftbench.detectors._rows import Rows
from shiftbench.sample import Sample
from shiftbench.score import score_cell
from shiftbench.tasks import LabelSpace, classification

NAMES = plugins.names("detectors")
NEEDS = {"logits", "features", "train_logits", "train_features"}
CLASSES = tuple("abcd")


def rows(n: int, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    logits, features = (
        random.normal(scale=3, size=(n, 4)),
        random.normal(size=(n, 16)).astype(np.float32),
    )
    some = [Sample(f"toy/test/{i:03d}", {"label": i % 4}) for i in range(n)]
    table = classification.rows(some, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
    return Rows(table, np.maximum(features, 0))


@pytest.mark.parametrize("name", NAMES)
def test_detector(name: str) -> None:
    detector = plugins.find("detectors", name)
    assert "Source:" in detector.__doc__
    assert set(detector.NEEDS) <= NEEDS
    some, train = rows(50, 1), rows(400, 2)
    scores = score_cell(detector, {}, some, train)
    assert scores.schema.equals(schema.SCORES.arrow)
    assert score_cell(detector, {}, some, train).equals(scores)
    # A sample's score does not depend on its neighbours.
    order = np.random.default_rng(0).permutation(50)[:20]
    part = Rows(some.table.take(pa.array(order)), some.features[order])
    expected = scores["score"].to_numpy()[order]
    assert np.allclose(
        score_cell(detector, {}, part, train)["score"], expected, rtol=1e-9, atol=1e-12
    )
    # Nor on its label.
    hidden = some.table.set_column(1, "label", pa.array([-1] * 50, pa.int32()))
    assert score_cell(detector, {}, Rows(hidden, some.features), train).equals(scores)
