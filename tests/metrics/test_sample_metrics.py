"""Metrics of one set of samples, beside scikit-learn and by hand; their sums are exact."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binned_statistic
from sklearn import metrics as peer
from sklearn.calibration import calibration_curve

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.contracts.metric_inputs import N, poisson, records, value
from shiftbench.data import formats
from shiftbench.statistics import contributions
from shiftbench.statistics.contributions import Contributions, weighted_sums
from shiftbench.statistics.digit_sums import Column


def ece(label: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> float:
    every = np.repeat(np.arange(len(label)), weights)
    right, confidence = (shares.argmax(1) == label)[every], shares.max(1)[every]
    true, predicted = calibration_curve(right, confidence, n_bins=15)  # scikit-learn: bins (low, high]
    sizes = binned_statistic(-confidence, None, "count", bins=np.linspace(-1, 0, 16)).statistic[::-1]
    return float((np.abs(true - predicted) * sizes[sizes > 0]).sum() / len(every))


PEERS = {
    "accuracy": lambda label, shares, w: peer.accuracy_score(label, shares.argmax(1), sample_weight=w),
    "error": lambda label, shares, w: peer.zero_one_loss(label, shares.argmax(1), sample_weight=w),
    "nll": lambda label, shares, w: peer.log_loss(label, shares, sample_weight=w),
    "brier": lambda label, shares, w: peer.brier_score_loss(label, shares, sample_weight=w, scale_by_half=False),
    "ece": ece,
}


@pytest.mark.parametrize("name", PEERS)
def test_sample_metrics_agree_with_scikit_learn(name: str) -> None:
    table = records()
    raw = np.array(table["logits"].to_pylist())
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    weights = poisson(N, 3)
    found = value(registry.find("metrics", name), table, weights)
    expected = [PEERS[name](table["label"].to_numpy(), shares, weights[:, draw]) for draw in range(3)]
    assert found == pytest.approx(expected, abs=2e-9)


def test_sample_metrics_by_hand() -> None:
    columns = {
        "correct": pa.array([True, True, False, False, None]),
        "confidence_e9": pa.array([900_000_000, 800_000_000, 600_000_000, 300_000_000, 999_999_999]),
        "nll_e9": pa.array([100_000_000, 200_000_000, 900_000_000, 1_200_000_000, None]),
    }
    table = pa.table(columns)
    expected = {
        "accuracy": 0.5,  # 2 of 4; the fifth has no label
        "error": 0.5,
        "nll": 0.6,  # (0.1 + 0.2 + 0.9 + 1.2) / 4
        "ece": 0.3,  # each its own bin: (|1 - 0.9| + |1 - 0.8| + |0 - 0.6| + |0 - 0.3|) / 4
    }
    assert {name: value(registry.find("metrics", name), table)[0] for name in expected} == expected
    # One bin: |2 - (0.9 + 0.8 + 0.6 + 0.3)| / 4
    assert value(registry.find("metrics", "ece"), table, bins=1) == pytest.approx([0.15])


def test_bins_of_ece_are_closed_above() -> None:
    # 1/5 exactly lies in (0, 1/5]: with 0.1 in one bin, |1 + 0 - 0.3| / 2; in two, (0.8 + 0.1) / 2.
    table = pa.table({"correct": [True, False], "confidence_e9": [200_000_000, 100_000_000]})
    assert value(registry.find("metrics", "ece"), table, bins=5) == pytest.approx([0.35])
    for bins in (0, 2.5, True):
        with pytest.raises(ParamsError, match="ece: bins is .* expected a whole number of 1 at least"):
            value(registry.find("metrics", "ece"), table, bins=bins)


def test_sums_are_exact_for_large_values() -> None:
    largest = formats.NLL_LIMIT
    column = np.array([largest, largest - 1, 1, 3] * 500)
    weights = poisson(2000, 2)
    (sums,) = weighted_sums([Contributions(np.ones(2000, dtype=np.int64), (column,))], weights)
    exact = [sum(int(a) * int(b) for a, b in zip(column, weights[:, draw], strict=True)) for draw in range(2)]
    assert sums.sums[0].tolist() == exact
    with pytest.raises(RangeError, match="too large to be added exactly"):
        weighted_sums([Contributions(np.ones(4, dtype=np.int64), (column[:4] * 4,))], weights[:4])
    assert contributions._block_size([Column(np.full(10, largest))], 10) == 2  # 2 x 8 x 2**49 = 2**53


def test_the_worst_group_by_hand() -> None:
    """Groups of 3, 2 and 1 samples, of which 2, 1 and 1 are right; named groups alone count, and copies weigh."""
    table = pa.table({
        "group": pa.array(["a", "a", "a", "b", "b", None]),
        "correct": pa.array([True, True, False, True, False, True]),
    })  # fmt: skip
    metrics = {name: registry.find("metrics", f"worst_group_{name}") for name in ("accuracy", "error")}
    for name, wanted in (("accuracy", 1 / 2), ("error", 1 / 2)):
        assert value(metrics[name], table)[0] == wanted
    assert value(metrics["accuracy"], table, groups=["a"])[0] == 2 / 3
    assert value(metrics["error"], table, groups=["a"])[0] == pytest.approx(1 / 3)
    assert np.isnan(value(metrics["accuracy"], table, groups=["c"])[0])
    twice = np.array([[1, 1, 2, 1, 0, 1]], np.uint8).T  # a: 2 of 4, b: 1 of 1
    assert value(metrics["accuracy"], table, twice)[0] == 1 / 2
    with pytest.raises(ParamsError, match="value is 'loss'"):
        value(metrics["accuracy"], table, value="loss")
    assert (metrics["accuracy"].HIGHER_IS_BETTER, metrics["error"].HIGHER_IS_BETTER) == (True, False)
