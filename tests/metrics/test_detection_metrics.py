"""Metrics of OOD detectors, beside scikit-learn, the published rules of the false positive rate, and by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.contracts.metric_inputs import aupr, detect, fpr, poisson, scores
from shiftbench.statistics.thresholds import Sides

# Ties, the same scores on both sides, constant scores, one sample a side, fewer samples than a twentieth needs.
SETS = (
    scores(),
    (scores()[0], scores()[0]),
    (np.random.default_rng(1).normal(size=70), np.random.default_rng(2).normal(1, size=90)),
    (np.ones(5), np.ones(3)),
    (np.zeros(1), np.ones(1)),
    (np.ones(1), np.zeros(1)),
    (np.array([0.0, 1, 2]), np.array([1.0, 1, 3, 4])),
)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("auroc", peer.roc_auc_score),
        ("aupr_out", aupr),
        ("aupr_in", lambda truth, score: aupr(1 - truth, -score)),
        ("fpr95", fpr),
        ("fpr95_idpos", lambda truth, score: fpr(1 - truth, -score)),
    ],
)
def test_detection_metrics_agree_with_scikit_learn(name: str, reference: Any) -> None:
    for inside, outside in SETS:
        truth = np.repeat([0, 1], [len(inside), len(outside)])
        expected = reference(truth, np.concatenate([inside, outside]))
        assert detect(registry.find("metrics", name), inside, outside) == pytest.approx([expected], abs=1e-12)


def nearest(positive: np.ndarray, negative: np.ndarray) -> float:
    """Hendrycks et al. 2019 as COOkeD has it, in integers: from the lowest threshold up, the first nearest vertex."""
    score = np.concatenate([positive, negative])
    truth = np.repeat([1, 0], [len(positive), len(negative)])
    false, true, _ = peer.roc_curve(truth, score, drop_intermediate=False)
    found = np.rint(true * len(positive)).astype(int)
    end = int(np.argmax(found == len(positive)))
    distance = np.abs(20 * found - 19 * len(positive))[end:0:-1]
    return float(false[end:0:-1][np.argmin(distance)])


def percentile(positive: np.ndarray, negative: np.ndarray) -> float:
    """PALM: `np.sum(novel > np.percentile(known, 5)) / len(novel)`."""
    return float(np.mean(negative > np.percentile(positive, 5)))


@pytest.mark.parametrize("rule", [nearest, percentile])
def test_rules_of_the_false_positive_rate(rule: Any) -> None:
    options = {"tpr": 0.95, "rule": rule.__name__}
    for inside, outside in SETS:
        weights = poisson(len(inside), 20), poisson(len(outside), 20, 1)
        for draw in range(20):
            some, others = (np.repeat(side, w[:, draw]) for side, w in zip((inside, outside), weights, strict=True))
            for name, sides in (("fpr95", (others, some)), ("fpr95_idpos", (-some, -others))):
                found = registry.find("metrics", name).compute(Sides.of_ood(inside, outside, *weights), **options)
                expected = rule(*sides) if len(some) and len(others) else np.nan
                assert found[draw] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_rules_are_checked() -> None:
    metric = registry.find("metrics", "fpr95")
    ones = np.ones((3, 1), dtype=np.uint8)
    with pytest.raises(ParamsError, match="'neerest' .did you mean nearest"):
        metric.compute(Sides.of_ood(np.ones(3), np.ones(3), ones, ones), rule="neerest")
    with pytest.raises(ParamsError, match="tpr: expected a rate in"):
        metric.compute(Sides.of_ood(np.ones(3), np.ones(3), ones, ones), tpr=95)


def test_false_positive_rates_of_twenty_samples_by_hand() -> None:
    inside, outside = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 20]), np.arange(3.0, 23.0, 2)
    found = {
        (name, rule): registry.find("metrics", name).compute(
            Sides.of_ood(inside, outside, *[np.ones((10, 1), dtype=np.uint8)] * 2), tpr=tpr, rule=rule
        )[0]
        for name in ("fpr95", "fpr95_idpos")
        for rule, tpr in (("first", 0.95), ("nearest", 0.84), ("percentile", 0.95))
    }
    assert found == {
        # OOD 3, 5, .., 21. All ten must be found: the threshold is 3, and ID 3 to 8 and 20 are flagged.
        ("fpr95", "first"): 0.7,
        # 0.8 is nearest to 0.84: OOD 7 and up. Thresholds 7 and 6 both find 0.8 of OOD; from 6 up lie ID 6, 7, 8, 20.
        ("fpr95", "nearest"): 0.4,
        # A twentieth of the way from the first to the last of ten: 3 + 0.45 * 2 = 3.9; above it ID 4 to 8, 20.
        ("fpr95", "percentile"): 0.6,
        # All ten ID must be accepted: up to 20, with OOD 3 to 19, nine of ten.
        ("fpr95_idpos", "first"): 0.9,
        # 0.8 of ID: up to 7, with OOD 3, 5, 7 at that threshold.
        ("fpr95_idpos", "nearest"): 0.3,
        # 8 + 0.55 * 12 = 14.6; below it OOD 3 to 13.
        ("fpr95_idpos", "percentile"): 0.6,
    }


def test_detection_metrics_by_hand() -> None:
    # 20 ID scores 0..19 and 20 OOD scores 10..29. 19 of 20 OOD lie at or above 11; of the ID, 11..19: 9 of 20.
    # 19 of 20 ID lie at or below 18; of the OOD, 10..18: 9 of 20. OOD beats ID in 345 and ties in 10 of 400 pairs.
    inside, outside = np.arange(20.0), np.arange(10.0, 30.0)
    names = ("fpr95", "fpr95_idpos", "auroc")
    found = {name: detect(registry.find("metrics", name), inside, outside)[0] for name in names}
    assert found == {"fpr95": 0.45, "fpr95_idpos": 0.45, "auroc": 0.875}
    # Not symmetric: OOD 4 x 5 and one 0 against ID 0, 1, 2, 9: all OOD must be found, and with it all ID flagged;
    # 95% of ID needs the 9, and with it all OOD accepted.
    assert detect(registry.find("metrics", "fpr95"), np.array([0.0, 1, 2, 9]), np.array([5.0, 5, 5, 5, 0])) == [1]
    assert detect(registry.find("metrics", "fpr95_idpos"), np.array([0.0, 1, 2, 3]), np.array([5.0, 5, 5, 2])) == [0.25]
