"""MCS temperature scaling against the released rule, written out, and brute force."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.methods import temperature_scaling
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.systems.safe_reliable_ai_thesis.methods import mcs_temperature_scaling as mcs

CLASSES = tuple("abcde")


def rows(n: int = 150, seed: int = 0) -> Rows:
    """Return answers whose classes are over- and under-confident, one of them by far."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 5
    logits = random.normal(size=(n, 5)) + 1.5 * np.eye(5)[labels]
    logits *= np.array([4, 1.5, 1, 1, 0.5])[labels, None]
    some = [Sample(f"toy/val/{i:04d}", {"label": int(y)}) for i, y in enumerate(labels)]
    space = LabelSpace(CLASSES, CLASSES)
    return Rows(classification.rows(some, {"logits": logits.astype(np.float32)}, space, "full"))


def released_ece(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return ECE and level over fifteen bins, open on the left."""
    shares = softmax(logits, axis=1)
    confidence, right = shares.max(1), shares.argmax(1) == labels
    edges = np.linspace(0, 1, 16)
    gaps = [
        (confidence - right)[(confidence > low) & (confidence <= high)].sum() for low, high in itertools.pairwise(edges)
    ]
    return float(np.abs(gaps).sum() / len(labels)), float(np.sum(gaps) / len(labels))


def released(logits: np.ndarray, labels: np.ndarray, scale: str, digits: int = 12) -> np.ndarray:
    """Return the temperatures by the released steps; there levels have three digits."""
    best, common = np.inf, 0.0
    for temperature in np.arange(0.5, 2, 0.01):
        error = released_ece(logits / temperature, labels)[0]
        if error < best:
            best, common = error, temperature
    each = [released_ece(logits[labels == k] / common, labels[labels == k])[1] for k in range(logits.shape[1])]
    found = np.array(np.round(each, digits))
    q1, q3 = (np.percentile(found, q, method="midpoint") for q in (25, 75))
    found[found < q1 - 1.5 * (q3 - q1)] = q1 - 1.5 * (q3 - q1)
    found[found > q3 + 1.5 * (q3 - q1)] = q3 + 1.5 * (q3 - q1)
    if scale == "max":
        found = found / max(found)
    elif scale == "min_max":
        found = (found - min(found)) / (max(found) - min(found))
    best, kept = np.inf, np.full(len(found), common)
    for factor in np.arange(-2, 2, 0.001):
        temperatures = common * (1 + found * factor)
        if temperatures.min() <= 0:  # there a temperature below 0 is tried like any other
            continue
        error = released_ece(logits / temperatures, labels)[0]
        if error < best:
            best, kept = error, temperatures
    return kept


@pytest.mark.parametrize("scale", mcs.SCALES)
def test_temperatures_are_those_of_the_released_steps(scale: str) -> None:
    given = rows()
    logits, labels = given.logits.astype(np.float64), given.labels
    expected = released(logits, labels, scale)
    assert len(set(expected.round(6))) >= 4  # classes differ, so each step counts
    found = mcs.class_temperatures(given, scale)
    assert found == pytest.approx(expected, abs=1e-6)


def test_each_step_by_hand() -> None:
    # An outlier: quartiles of (-0.1, 0, 0.1, 0.2, 2) are 0 and 0.2, so the last is set to 0.2 + 0.3.
    assert mcs.clipped(np.array([-0.1, 0, 0.1, 0.2, 2.0])) == pytest.approx([-0.1, 0, 0.1, 0.2, 0.5])
    found = np.array([-0.2, 0.1, 0.4])
    assert mcs.scaled(found, "max") == pytest.approx([-0.5, 0.25, 1])
    assert mcs.scaled(found, "min_max") == pytest.approx([0, 0.5, 1])
    assert mcs.scaled(-np.ones(1) / 4, "max") == [1]  # the largest is below 0: signs turn round
    # Two samples of class 0, one of them wrong, both at 0.5 of two classes; class 1 has none.
    logits = np.zeros((2, 2))
    assert mcs.levels(logits, np.array([0, 0])) == pytest.approx([-0.5, 0])
    with pytest.raises(ParamsError, match="cannot be scaled by 'max'"):
        mcs.scaled(np.zeros(3), "max")


def test_without_a_factor_it_is_temperature_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcs, "FACTORS", np.zeros(1))
    given = rows()
    assert (mcs.class_temperatures(given) == temperature_scaling.best_calibrated(given)).all()
    assert (np.arange(-2000, 2000) / 1000 == 0).any()


def test_the_factor_is_the_best_on_val() -> None:
    given = rows()
    common = temperature_scaling.best_calibrated(given)
    logits = given.logits.astype(np.float64)
    one, each = (temperature_scaling.ece(logits / t, given.labels) for t in (common, mcs.class_temperatures(given)))
    assert each < one


def test_levels_and_factor_may_be_of_different_samples() -> None:
    given = rows(n=300)
    halves = mcs.class_temperatures(given, held_out=0.5)
    assert not np.allclose(halves, mcs.class_temperatures(given))
    # All are positive, and the temperature of all is that of the whole split.
    assert (halves > 0).all()
    few = Rows(given.table.slice(0, 1), name="toy/val")
    with pytest.raises(ParamsError, match="toy/val: 1 val samples are too few"):
        mcs.class_temperatures(few, held_out=0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scale": "maxx"}, "scale is 'maxx'.*max"), ({"held_out": 1.0}, "held_out is 1; expected a share")],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        mcs.wrap(lambda _: None, {**defaults(mcs), **options}, {})
