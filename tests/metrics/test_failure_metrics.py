"""Metrics of telling right answers from wrong ones, beside scikit-learn and by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from shiftbench.contracts.metric_inputs import area, aupr, fpr, of_kind, trusted


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("failure_auroc", peer.roc_auc_score),
        ("failure_aupr", aupr),
        ("failure_fpr95", lambda truth, score: fpr(1 - truth, -score)),  # right ones positive
    ],
)
def test_failure_detection_agrees_with_scikit_learn(name: str, reference: Any) -> None:
    values, correct = trusted()
    for score in (values, np.random.default_rng(5).permutation(120).astype(float), values * 0):
        expected = reference((~correct).astype(int), score)
        assert area(name, score, correct) == pytest.approx([expected], abs=1e-12)
    # All right or all wrong: nothing to tell apart.
    assert np.isnan(area(name, values, correct | True)).all()
    assert np.isnan(area(name, values, correct & False)).all()


def test_failure_detection_by_hand() -> None:
    # Wrong at 3 and 1, right at 0, 2 and 0: the wrong ones win 3 + 2 of 6 pairs; all right ones are accepted up to 2,
    # and with them the wrong one at 1.
    values, correct = np.array([3.0, 1, 0, 2, 0]), np.array([False, False, True, True, True])
    found = {name: area(name, values, correct)[0] for name in of_kind("failure")}
    assert found["failure_auroc"] == pytest.approx(5 / 6, abs=1e-15)
    assert found["failure_fpr95"] == 0.5
    # Thresholds 3, 2, 1: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    assert found["failure_aupr"] == pytest.approx(1 / 2 + (1 / 2 + 2 / 3) / 4, abs=1e-15)


def test_areas_under_risk_and_coverage() -> None:
    values, correct = trusted()
    # Equal scores: the mean over many random orders; without ties the definition itself.
    random = np.random.default_rng(5)

    def mean_risk(order: np.ndarray) -> float:
        return float(np.mean(np.cumsum(~correct[order]) / np.arange(1, len(order) + 1)))

    orders = [np.lexsort((random.random(120), values)) for _ in range(4000)]
    expected = np.mean([mean_risk(order) for order in orders])
    assert area("aurc", values, correct)[0] == pytest.approx(expected, abs=2e-4)
    distinct = random.permutation(120).astype(float)
    exact = mean_risk(np.argsort(distinct))
    assert area("aurc", distinct, correct)[0] == pytest.approx(exact, abs=1e-12)
    best = mean_risk(np.argsort(~correct, kind="stable"))
    assert area("eaurc", distinct, correct)[0] == pytest.approx(exact - best, abs=1e-12)
    assert area("eaurc", (~correct).astype(float), correct)[0] < 0.02  # wrong ones tie among each other
    # A constant score is as good as chance.
    assert area("aurc", values * 0, correct)[0] == pytest.approx((~correct).mean(), abs=1e-12)
    # By hand: right, wrong, right, wrong: (0 + 1/2 + 1/3 + 2/4) / 4; at best (0 + 0 + 1/3 + 2/4) / 4.
    found = area("aurc", np.arange(4.0), np.array([True, False, True, False]))
    assert found[0] == pytest.approx(1 / 3, abs=1e-15)
    found = area("eaurc", np.arange(4.0), np.array([True, False, True, False]))
    assert found[0] == pytest.approx(1 / 8, abs=1e-15)
