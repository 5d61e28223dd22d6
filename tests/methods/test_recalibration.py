"""Recalibrators against scikit-learn's and brute force; where their answers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import schema
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.methods import _recalibrating, temperature_scaling
from shiftbench.plugins.tasks import LabelSpace, classification

CLASSES = tuple("abcd")
NAMES = ("temperature_scaling", "vector_scaling", "isotonic")
WEIGHTS = refs.checkpoint("toy", "net", "erm", 0)
PARAMS = {"checkpoint": WEIGHTS.name, "stream": "toy/test/fog", "step": "3"}


def records(n: int, seed: int, sharpness: float = 3.0, first: int = 0) -> pa.Table:
    """Return records of answers that are right more often than not, and too sure."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    logits = sharpness * (random.normal(size=(n, 4)) + 1.5 * np.eye(4)[labels])
    logits[:, 3] -= 2
    some = [Sample(f"toy/{i + first:04d}", {"label": int(y)}) for i, y in enumerate(labels)]
    space = LabelSpace(CLASSES, CLASSES)
    return classification.rows(some, {"logits": logits.astype(np.float32)}, space, "full")


VAL, TEST = records(600, 1), records(80, 2, first=5000)


def made(tmp_path: Path, name: str, val: pa.Table = VAL, test: pa.Table = TEST) -> Any:
    """Return a recalibrator at the position."""
    module = registry.find("methods", name)
    val_ref, own = module.needs(PARAMS)
    inputs = {WEIGHTS: tmp_path / "none"}
    for ref, table in ((val_ref, val), (own, test)):
        inputs[ref] = tmp_path / ref.path
        inputs[ref].parent.mkdir(parents=True, exist_ok=True)
        schema.write(table, inputs[ref], "of nothing")
    wrapped = module.wrap(None, dict(defaults(module)), inputs)
    wrapped.at(inputs)
    return wrapped


def answers(wrapped: Any, table: pa.Table = TEST) -> np.ndarray:
    found: np.ndarray = wrapped([Sample(key, {}) for key in table["key"].to_pylist()])["logits"]
    return found


class Answers(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier for scikit-learn, whose input is its decision."""

    classes_ = np.arange(4)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, _x: np.ndarray, _y: np.ndarray) -> Answers:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x.argmax(axis=1)

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x


def peer(method: str, known: np.ndarray, labels: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return scikit-learn's calibrated probabilities."""
    fitted = CalibratedClassifierCV(FrozenEstimator(Answers()), method=method, ensemble=False)
    shares: np.ndarray = fitted.fit(known, labels).predict_proba(given)
    return shares


def test_temperature_scaling_agrees_with_scikit_learn(tmp_path: Path) -> None:
    known, given = Rows(VAL).logits, Rows(TEST).logits
    expected = peer("temperature", known, Rows(VAL).labels, given)
    found = softmax(answers(made(tmp_path, "temperature_scaling")), axis=1)
    assert np.allclose(found, expected, atol=1e-4)
    assert found.max(axis=1).mean() < softmax(given, axis=1).max(axis=1).mean() - 0.05


def test_isotonic_agrees_with_scikit_learn(tmp_path: Path) -> None:
    known, given = (softmax(Rows(one).logits.astype(np.float64), axis=1) for one in (VAL, TEST))
    expected = peer("isotonic", known, Rows(VAL).labels, given)
    found = softmax(answers(made(tmp_path, "isotonic")), axis=1)
    assert np.allclose(found, expected, atol=1e-6)


def test_vector_scaling_is_the_most_likely_map(tmp_path: Path) -> None:
    """No step away from it is more likely, and it is more likely than one temperature."""
    rows = Rows(VAL)
    logits, labels = rows.logits.astype(np.float64), rows.labels

    def nll(given: np.ndarray) -> float:
        return float(-log_softmax(given, axis=1)[np.arange(len(labels)), labels].mean())

    change = registry.find("methods", "vector_scaling").fit(rows)
    best = nll(change(logits))
    assert best < nll(logits / temperature_scaling.likeliest(rows)) - 1e-3
    offset = change(np.zeros((1, 4)))
    scale = change(np.ones((1, 4))) - offset
    for step in 1e-2 * np.random.default_rng(0).normal(size=(20, 2, 4)):
        assert nll(logits * (scale + step[0]) + offset + step[1]) > best
    assert np.allclose(answers(made(tmp_path, "vector_scaling")), change(Rows(TEST).logits), atol=1e-5)


def test_the_search_by_ece_is_brute_force() -> None:
    rows = Rows(VAL)
    by_metric = []
    for temperature in temperature_scaling.GRID:
        logits = (rows.logits.astype(np.float64) / temperature).astype(np.float32)
        some = [Sample(key, {"label": int(y)}) for key, y in zip(rows.keys, rows.labels, strict=True)]
        table = classification.rows(some, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
        by_metric.append(_metric(table))
    best = temperature_scaling.best_calibrated(rows)
    assert best == temperature_scaling.GRID[np.argmin(by_metric)]
    assert temperature_scaling.ece(rows.logits / best, rows.labels) == pytest.approx(min(by_metric), abs=1e-6)
    assert (temperature_scaling.GRID[0], temperature_scaling.GRID[-1]) == (0.5, 1.99)


def _metric(table: pa.Table) -> float:
    from shiftbench.plugins.metrics.probabilities import ece
    from shiftbench.statistics.contributions import weighted_sums
    from shiftbench.statistics.rows import Rows as Columns

    ones = np.ones((len(table), 1), np.uint8)
    (sums,) = weighted_sums([ece.reduce(Columns(table), 15)], ones)
    return float(ece.finish(sums, 15)[0])


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_the_position_are_not_looked_at(tmp_path: Path, name: str) -> None:
    at = TEST.column_names.index("label")
    hidden = TEST.set_column(at, "label", pa.array([-1] * 80, pa.int32()))
    before = answers(made(tmp_path, name))
    assert np.array_equal(answers(made(tmp_path, name, test=hidden)), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_val_split_is_recalibrated_by_itself(tmp_path: Path, name: str) -> None:
    """At the position of the val split there is one file of records."""
    module = registry.find("methods", name)
    (only,) = module.needs({**PARAMS, "stream": "toy/val/identity", "step": "0"})
    file = tmp_path / "val.parquet"
    schema.write(VAL, file, "of nothing")
    wrapped = module.wrap(None, dict(defaults(module)), {only: file})
    wrapped.at({only: file})
    assert answers(wrapped, VAL).shape == (600, 4)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_no_class_do_not_count(tmp_path: Path, name: str) -> None:
    at = VAL.column_names.index("label")
    foreign = records(100, 9, first=9000)
    foreign = foreign.set_column(at, "label", pa.array([-1] * 100, pa.int32()))
    expected = answers(made(tmp_path, name))
    both = pa.concat_tables([VAL, foreign])
    assert np.array_equal(answers(made(tmp_path, name, both)), expected)
    with pytest.raises(DataError, match="toy/net-erm-s0/plain/toy/val/identity/0: a recalibrator needs"):
        made(tmp_path, name, foreign)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ParamsError, match="by is 'ecc'.*ece"):
        registry.find("methods", "temperature_scaling").wrap(None, {"by": "ecc"}, {})
    assert _recalibrating.needs(PARAMS)[0].name == "toy/net-erm-s0/plain/toy/val/identity/0"
