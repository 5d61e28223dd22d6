from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from shiftbench.detectors import energy, msp
from shiftbench.detectors._rows import Rows
from shiftbench.errors import DataError, ModelError, ParamsError
from shiftbench.sample import Sample
from shiftbench.score import score_cell
from shiftbench.tasks import LabelSpace, classification

NAMES = tuple("abcdef")


def rows(n: int = 30, mode: str = "full", features: np.ndarray | None = None) -> Rows:
    logits = np.random.default_rng(5).normal(scale=3, size=(n, len(NAMES))).astype(np.float32)
    samples = [Sample(f"toy/test/{i:03d}", {"label": i % len(NAMES)}) for i in range(n)]
    return Rows(
        classification.rows(samples, {"logits": logits}, LabelSpace(NAMES, NAMES), mode), features
    )


def test_scores_are_the_papers_formulas() -> None:
    some = rows()
    shares = np.exp(some.logits.astype(np.float64))
    sums = shares.sum(axis=1)
    assert np.allclose(score_cell(msp, {}, some)["score"], -shares.max(axis=1) / sums, rtol=1e-12)
    assert np.allclose(score_cell(energy, {}, some)["score"], -np.log(sums), rtol=1e-12)
    # By hand: logits (0, 0), T = 2: -2 log(2 exp(0)) = -1.386.
    two = SimpleNamespace(logits=np.zeros((1, 2), dtype=np.float32))
    assert energy.score(two, None, {"temperature": 2.0}) == pytest.approx([-1.3862943611])


def test_scores_keep_keys_and_order() -> None:
    some = rows()
    assert score_cell(msp, {}, some)["key"].to_pylist() == some.keys
    assert len(score_cell(energy, {}, rows(0))) == 0


def test_bad_input_is_named() -> None:
    some = rows(3)
    broken = SimpleNamespace(__name__="shiftbench.detectors.mine", PARAMS={}, fit=lambda *_: None)
    broken.score = lambda *_: np.array([0, np.nan, 0])
    with pytest.raises(
        ModelError, match="detector mine: the score of sample 'toy/test/001' is nan"
    ):
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
