from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binned_statistic
from sklearn import metrics as peer
from sklearn.calibration import calibration_curve

from shiftbench import plugins
from shiftbench.data import formats
from shiftbench.errors import ParamsError, RangeError
from shiftbench.sample import Sample
from shiftbench.statistics import contributions
from shiftbench.statistics.contributions import Contributions, weighted
from shiftbench.statistics.rows import Rows
from shiftbench.tasks import LabelSpace, classification

NAMES = plugins.names("metrics")
CLASSES = tuple("abcde")
N = 300


def of_kind(kind: str) -> list[str]:
    return [name for name in NAMES if kind == plugins.find("metrics", name).KIND]


def records(n: int = N) -> pa.Table:
    random = np.random.default_rng(3)
    some = [
        Sample(f"toy/test/{i:03d}", {"label": int(label)})
        for i, label in enumerate(random.integers(0, 5, n))
    ]
    logits = random.normal(scale=2, size=(n, 5)).astype(np.float32)
    table = classification.rows(some, {"logits": logits}, LabelSpace(CLASSES, CLASSES), "full")
    passed = [[bool(bit)] for bit in random.integers(0, 2, n)]  # of generated code
    table = table.append_column("passed", pa.array(passed, pa.list_(pa.bool_())))
    for measure in ("ap", "ndcg10", "rr10", "bpref", "judged10"):  # of ranked lists
        table = table.append_column(f"{measure}_e9", pa.array(random.integers(0, 10**9 + 1, n)))
    for count in ("raised", "gained", "entered"):
        table = table.append_column(count, pa.array(random.integers(0, 2, n)))
    table = table.append_column("risk_e9", pa.array(random.integers(0, 10**10, n)))  # of tasks
    table = table.append_column("attacked", pa.array(np.ones(n, dtype=np.int64)))
    for measure in ("correlation", "concordance", "amplitude", "lse_c", "lse_d"):  # of clips
        table = table.append_column(f"{measure}_e9", pa.array(random.integers(0, 10**9 + 1, n)))
    table = table.append_column("offset", pa.array(random.integers(-3, 4, n)))
    found = boxes(random, n) | completions(random, n)
    for name, column in {**found, **persons(random, found["true_crowd"])}.items():
        table = table.append_column(name, column)
    return table


def boxes(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    """Return what records of detection hold of boxes, one to three in each image, under one filter."""
    sizes, whole = random.integers(1, 4, n), pa.list_(pa.int64())

    def lists(low: int, high: int, dtype: pa.DataType) -> pa.Array:
        return pa.array([random.integers(low, high, size).tolist() for size in sizes], dtype)

    integers = {"matched": 2, "filters_at_recall": 4, "filter_ranks_e9": 10**9}
    found = {name: lists(0, high, whole) for name, high in integers.items()}
    found |= {"ignored": lists(0, 1, whole), "filters": lists(1, 4, whole)}
    found |= {"true_classes": lists(0, 5, pa.list_(pa.int32())), "true_areas": lists(9, 99, whole)}
    scores = [random.random(size).tolist() for size in sizes]
    crowd = [[False] * size for size in sizes]
    return found | {"scores": pa.array(scores), "true_crowd": pa.array(crowd)}


def completions(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    """Return what records of free text hold of two completions of each prompt, judged by two graders."""
    sizes = {"tokens": 30, "thinking_tokens": 20, "answer_tokens": 9, "thinking_entropy_e9": 10**9}
    sizes |= {"answer_entropy_e9": 10**9, "completion_nll_e9": 10**9, "closed": 2, "truncated": 2}
    found = {
        name: pa.array(random.integers(0, high, (n, 2)).tolist()) for name, high in sizes.items()
    }
    said = [None, False, True]
    verdicts = [
        [[said[at] for at in each] for each in own] for own in random.integers(0, 3, (n, 2, 2))
    ]
    return {**found, "verdicts": pa.array(verdicts)}


def persons(random: np.random.Generator, crowd: pa.Array) -> dict[str, pa.Array]:
    """Return what records of keypoints hold of the same persons, of three joints each."""
    sizes = [len(own) for own in crowd.to_pylist()]

    def lists(each: int, low: int = -1, high: int = 10**9) -> pa.Array:
        return pa.array([random.integers(low, high, each * size).tolist() for size in sizes])

    found = {f"{name}_e9": lists(1) for name in ("limb_errors", "mpjpe", "pa_mpjpe")}
    return found | {"errors_e9": lists(3), "missed": lists(1, 0, 2)}


def value(
    metric: ModuleType, table: pa.Table, weights: np.ndarray | None = None, **params: Any
) -> np.ndarray:
    weights = np.ones((len(table), 1), dtype=np.uint8) if weights is None else weights
    options = {**metric.PARAMS, **params}
    (sums,) = weighted([metric.reduce(Rows(table), **options)], weights)
    found: np.ndarray = metric.finish(sums, **options)
    return found


def poisson(n: int, draws: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(1, (n, draws)).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_declarations(name: str) -> None:
    metric = plugins.find("metrics", name)
    assert "Source:" in (metric.__doc__ or "")
    assert metric.KIND in ("sample", "resampled", "path", "detection", "failure", "curve")
    assert metric.UNIT
    assert isinstance(metric.HIGHER_IS_BETTER, bool)
    low, high = metric.RANGE
    assert low is None or high is None or low < high


@pytest.mark.parametrize("name", of_kind("sample"))
def test_sample_metrics(name: str) -> None:
    metric = plugins.find("metrics", name)
    table = records()
    whole = value(metric, table)
    low, high = metric.RANGE
    assert (low is None or whole >= low) and (high is None or whole <= high)  # noqa: PT018
    # The order of rows does not matter, not in the last bit.
    order = pa.array(np.random.default_rng(0).permutation(N))
    assert np.array_equal(value(metric, table.take(order)), whole)
    # A weight is a number of copies.
    weights = poisson(N, 3)
    for draw, found in enumerate(value(metric, table, weights)):
        copies = table.take(pa.array(np.repeat(np.arange(N), weights[:, draw])))
        assert value(metric, copies)[0] == found
    # Of nothing there is no value.
    assert np.isnan(value(metric, table.slice(0, 0))).all()
    assert np.isnan(value(metric, table, weights * np.uint8(0))).all()


def ece(label: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> float:
    every = np.repeat(np.arange(len(label)), weights)
    right, confidence = (shares.argmax(1) == label)[every], shares.max(1)[every]
    true, predicted = calibration_curve(
        right, confidence, n_bins=15
    )  # scikit-learn: bins (low, high]
    sizes = binned_statistic(-confidence, None, "count", bins=np.linspace(-1, 0, 16)).statistic[
        ::-1
    ]
    return float((np.abs(true - predicted) * sizes[sizes > 0]).sum() / len(every))


PEERS = {
    "accuracy": lambda label, shares, w: peer.accuracy_score(
        label, shares.argmax(1), sample_weight=w
    ),
    "error": lambda label, shares, w: peer.zero_one_loss(label, shares.argmax(1), sample_weight=w),
    "nll": lambda label, shares, w: peer.log_loss(label, shares, sample_weight=w),
    "brier": lambda label, shares, w: peer.brier_score_loss(
        label, shares, sample_weight=w, scale_by_half=False
    ),
    "ece": ece,
}


@pytest.mark.parametrize("name", PEERS)
def test_sample_metrics_agree_with_scikit_learn(name: str) -> None:
    table = records()
    raw = np.array(table["logits"].to_pylist())
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    weights = poisson(N, 3)
    found = value(plugins.find("metrics", name), table, weights)
    expected = [
        PEERS[name](table["label"].to_numpy(), shares, weights[:, draw]) for draw in range(3)
    ]
    assert found == pytest.approx(expected, abs=2e-9)


def test_sample_metrics_by_hand() -> None:
    columns = {
        "correct": pa.array([True, True, False, False, None]),
        "confidence_e9": pa.array(
            [900_000_000, 800_000_000, 600_000_000, 300_000_000, 999_999_999]
        ),
        "nll_e9": pa.array([100_000_000, 200_000_000, 900_000_000, 1_200_000_000, None]),
    }
    table = pa.table(columns)
    expected = {
        "accuracy": 0.5,  # 2 of 4; the fifth has no label
        "error": 0.5,
        "nll": 0.6,  # (0.1 + 0.2 + 0.9 + 1.2) / 4
        "ece": 0.3,  # each its own bin: (|1 - 0.9| + |1 - 0.8| + |0 - 0.6| + |0 - 0.3|) / 4
    }
    assert {name: value(plugins.find("metrics", name), table)[0] for name in expected} == expected
    # One bin: |2 - (0.9 + 0.8 + 0.6 + 0.3)| / 4
    assert value(plugins.find("metrics", "ece"), table, bins=1) == pytest.approx([0.15])


def test_bins_of_ece_are_closed_above() -> None:
    # 1/5 exactly lies in (0, 1/5]: with 0.1 in one bin, |1 + 0 - 0.3| / 2; in two, (0.8 + 0.1) / 2.
    table = pa.table({"correct": [True, False], "confidence_e9": [200_000_000, 100_000_000]})
    assert value(plugins.find("metrics", "ece"), table, bins=5) == pytest.approx([0.35])
    for bins in (0, 2.5, True):
        with pytest.raises(
            ParamsError, match="ece: bins is .* expected a whole number of 1 at least"
        ):
            value(plugins.find("metrics", "ece"), table, bins=bins)


def test_sums_are_exact_for_large_values() -> None:
    largest = formats.NLL_LIMIT
    column = np.array([largest, largest - 1, 1, 3] * 500)
    weights = poisson(2000, 2)
    (sums,) = weighted([Contributions(np.ones(2000, dtype=np.int64), (column,))], weights)
    exact = [
        sum(int(a) * int(b) for a, b in zip(column, weights[:, draw], strict=True))
        for draw in range(2)
    ]
    assert sums.sums[0].tolist() == exact
    with pytest.raises(RangeError, match="too large to be added exactly"):
        weighted([Contributions(np.ones(4, dtype=np.int64), (column[:4] * 4,))], weights[:4])
    assert (
        contributions._block([np.full((1, 10), float(largest))], 10) == 2
    )  # 2 x 8 x 2**49 = 2**53


# ------------------------------------------------------------------------------------ detection


def scores() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    return random.integers(0, 30, 200).astype(float), random.integers(10, 40, 150).astype(
        float
    )  # many ties


def detect(
    metric: ModuleType, inside: np.ndarray, outside: np.ndarray, *weights: np.ndarray
) -> np.ndarray:
    sides = weights or [np.ones((len(side), 1), dtype=np.uint8) for side in (inside, outside)]
    found: np.ndarray = metric.compute(inside, outside, *sides, **metric.PARAMS)
    return found


SAMPLED = ("equal_sized",)
"""Metrics that draw some of the samples: a weight is a number of copies of those that were drawn."""


@pytest.mark.parametrize("name", of_kind("detection"))
def test_detection_metrics(name: str) -> None:
    metric = plugins.find("metrics", name)
    inside, outside = scores()
    whole = detect(metric, inside, outside)
    assert metric.RANGE[0] <= whole[0] <= metric.RANGE[1]
    order = np.random.default_rng(0).permutation(len(inside))
    assert np.array_equal(detect(metric, inside[order], outside), whole)
    # Only the order of scores counts.
    assert np.array_equal(detect(metric, inside**3, outside**3), whole)
    # A weight is a number of copies.
    weights = poisson(len(inside), 70), poisson(len(outside), 70, 1)
    found = detect(metric, inside, outside, *weights)
    for draw in () if name in SAMPLED else (0, 1, 69):
        copies = [
            np.repeat(side, w[:, draw]) for side, w in zip((inside, outside), weights, strict=True)
        ]
        assert detect(metric, *copies)[0] == pytest.approx(found[draw], abs=1e-12)
    # Separated sets are told apart; of nothing there is no value.
    best = detect(metric, inside, inside.max() + 1 + outside)
    assert best == pytest.approx([metric.RANGE[1 if metric.HIGHER_IS_BETTER else 0]])
    assert np.isnan(detect(metric, inside[:0], outside)).all()
    assert np.isnan(detect(metric, inside, outside, weights[0], weights[1] * np.uint8(0))).all()


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


def fpr(truth: np.ndarray, score: np.ndarray) -> float:
    false, true, _ = peer.roc_curve(truth, score, drop_intermediate=False)
    return float(false[np.argmax(true >= 0.95)])


def aupr(truth: np.ndarray, score: np.ndarray) -> float:
    precision, recall, _ = peer.precision_recall_curve(truth, score)
    return float(peer.auc(recall, precision))


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
        assert detect(plugins.find("metrics", name), inside, outside) == pytest.approx(
            [expected], abs=1e-12
        )


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
            some, others = (
                np.repeat(side, w[:, draw])
                for side, w in zip((inside, outside), weights, strict=True)
            )
            for name, sides in (("fpr95", (others, some)), ("fpr95_idpos", (-some, -others))):
                found = plugins.find("metrics", name).compute(inside, outside, *weights, **options)
                expected = rule(*sides) if len(some) and len(others) else np.nan
                assert found[draw] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_rules_are_checked() -> None:
    metric = plugins.find("metrics", "fpr95")
    ones = np.ones((3, 1), dtype=np.uint8)
    with pytest.raises(ParamsError, match="'neerest' .did you mean nearest"):
        metric.compute(np.ones(3), np.ones(3), ones, ones, rule="neerest")
    with pytest.raises(ParamsError, match="tpr: expected a rate in"):
        metric.compute(np.ones(3), np.ones(3), ones, ones, tpr=95)


def test_false_positive_rates_of_twenty_samples_by_hand() -> None:
    inside, outside = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 20]), np.arange(3.0, 23.0, 2)
    found = {
        (name, rule): plugins.find("metrics", name).compute(
            inside, outside, *[np.ones((10, 1), dtype=np.uint8)] * 2, tpr=tpr, rule=rule
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
    found = {name: detect(plugins.find("metrics", name), inside, outside)[0] for name in names}
    assert found == {"fpr95": 0.45, "fpr95_idpos": 0.45, "auroc": 0.875}
    # Not symmetric: OOD 4 x 5 and one 0 against ID 0, 1, 2, 9: all OOD must be found, and with it all ID flagged;
    # 95% of ID needs the 9, and with it all OOD accepted.
    assert detect(
        plugins.find("metrics", "fpr95"), np.array([0.0, 1, 2, 9]), np.array([5.0, 5, 5, 5, 0])
    ) == [1]
    assert detect(
        plugins.find("metrics", "fpr95_idpos"), np.array([0.0, 1, 2, 3]), np.array([5.0, 5, 5, 2])
    ) == [0.25]


# -------------------------------------------------------------------------------------- failure


def trusted() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(11)
    values = random.integers(0, 25, 120).astype(float)  # many ties
    return values, random.random(120) > values / 40


def area(metric: str, values: np.ndarray, correct: np.ndarray, weights: Any = None) -> np.ndarray:
    module = plugins.find("metrics", metric)
    weights = np.ones((len(values), 1), dtype=np.uint8) if weights is None else weights
    found: np.ndarray = module.compute(values, correct, weights, **module.PARAMS)
    return found


@pytest.mark.parametrize("name", of_kind("failure"))
def test_failure_metrics(name: str) -> None:
    metric = plugins.find("metrics", name)
    values, correct = trusted()
    whole = area(name, values, correct)
    assert metric.RANGE[0] <= whole[0] <= metric.RANGE[1]
    # Neither the order of the rows nor the scale of the scores counts; a weight is a number of copies.
    order = np.random.default_rng(0).permutation(len(values))
    assert np.array_equal(area(name, values[order] ** 3, correct[order]), whole)
    weights = poisson(len(values), 30)
    found = area(name, values, correct, weights)
    for draw in range(30):
        copies = np.repeat(np.arange(len(values)), weights[:, draw])
        expected = area(name, values[copies], correct[copies])[0]
        assert found[draw] == pytest.approx(expected, abs=1e-12)
    # A score that knows is better; of nothing there is no value.
    knows = area(name, (~correct).astype(float), correct)[0]
    assert knows > whole[0] if metric.HIGHER_IS_BETTER else knows < whole[0]
    assert np.isnan(area(name, values[:0], correct[:0])).all()
    assert np.isnan(area(name, values, correct, weights * np.uint8(0))).all()


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
    assert (
        area("eaurc", (~correct).astype(float), correct)[0] < 0.02
    )  # wrong ones tie among each other
    # A constant score is as good as chance.
    assert area("aurc", values * 0, correct)[0] == pytest.approx((~correct).mean(), abs=1e-12)
    # By hand: right, wrong, right, wrong: (0 + 1/2 + 1/3 + 2/4) / 4; at best (0 + 0 + 1/3 + 2/4) / 4.
    found = area("aurc", np.arange(4.0), np.array([True, False, True, False]))
    assert found[0] == pytest.approx(1 / 3, abs=1e-15)
    found = area("eaurc", np.arange(4.0), np.array([True, False, True, False]))
    assert found[0] == pytest.approx(1 / 8, abs=1e-15)
