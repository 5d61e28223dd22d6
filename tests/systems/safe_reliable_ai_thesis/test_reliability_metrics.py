"""Class levels and the tail of risk-coverage: against the released rule, by hand, and where the answer is known."""

import itertools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.data.formats import E9
from shiftbench.statistics.rows import Rows
from shiftbench.systems.safe_reliable_ai_thesis.metrics.risk_coverage_tail import e_auoptrc_tail

LEVELS = (
    *("mcs", "over_confidence", "under_confidence", "over_confident_share"),
    *("under_confident_share", "classwise_ece"),
)


def table(labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> pa.Table:
    known = labels >= 0
    return pa.table(
        {
            "label": pa.array(labels, pa.int32()),
            "correct": pa.array(labels == predicted, mask=~known),
            "confidence_e9": np.rint(confidence * E9).astype(np.int64),
        }
    )


def measured(name: str, rows: pa.Table, weights: np.ndarray | None = None) -> np.ndarray:
    metric = registry.find("metrics", name)
    weights = np.ones((len(rows), 1), np.uint8) if weights is None else weights
    found: np.ndarray = metric.compute(Rows(rows), weights, **defaults(metric))
    return found


def drawn(n: int = 400, classes: int = 6, seed: int = 3) -> tuple[np.ndarray, ...]:
    """Return labels, predictions and confidences, of classes that are over- and under-confident."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    logits = random.normal(size=(n, classes)) + 2 * np.eye(classes)[labels]
    logits *= np.linspace(0.3, 3, classes)[labels, None]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return labels, shares.argmax(1), np.rint(shares.max(1) * E9) / E9


# ------------------------------------------------------------------------------------------ levels


def released_bins(right: np.ndarray, confidence: np.ndarray) -> tuple[float, float]:
    """Return gap and level of the samples of a class, bin by bin, as `ece_eval` does."""
    edges = np.linspace(0, 1, 16)
    gap = level = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            difference = confidence[inside].mean() - right[inside].mean()
            gap += inside.sum() * abs(difference)
            level += inside.sum() * difference
    return gap / len(right), level / len(right)


def released(labels: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> dict[str, float]:
    """Return all that `classwise_ece` and `miscalibration_level` give, without their rounding."""
    each = [released_bins((labels == predicted)[labels == k], confidence[labels == k]) for k in np.unique(labels)]
    gaps, levels = np.array(each).T
    over, under = levels[levels >= 0], levels[levels < 0]
    return {
        "classwise_ece": gaps.mean(),
        "mcs": (over.sum() * len(over) + under.sum() * len(under)) / len(levels),
        "over_confidence": over.mean() if len(over) else 0.0,
        "under_confidence": under.mean() if len(under) else 0.0,
        "over_confident_share": len(over) / len(levels),
        "under_confident_share": len(under) / len(levels),
    }


@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_the_released_rule_under_every_draw(name: str) -> None:
    columns = drawn()
    weights = np.random.default_rng(0).poisson(1, (400, 600)).astype(np.uint8)
    found = measured(name, table(*columns), weights)
    assert measured(name, table(*columns)) == pytest.approx(released(*columns)[name], abs=1e-9)
    for draw in (0, 1, 299, 599):
        copies = [np.repeat(column, weights[:, draw]) for column in columns]
        assert found[draw] == pytest.approx(released(*copies)[name], abs=1e-9)
    low, high = registry.find("metrics", name).RANGE
    assert (low is None or (found >= low).all()) and (high is None or (found <= high).all())  # noqa: PT018


def test_levels_by_hand() -> None:
    # Class 0: right at 0.9, wrong at 0.8 -> (-0.1 + 0.8) / 2 = 0.35. Class 1: right at 0.6 -> -0.4. Class 2: right at
    # 0.7 and 0.5 -> -0.4. MCS = (1 * 0.35 + 2 * (-0.8)) / 3. The last one has no label and does not count.
    labels = np.array([0, 0, 1, 2, 2, -1])
    predicted = np.array([0, 1, 1, 2, 2, 0])
    rows = table(labels, predicted, np.array([0.9, 0.8, 0.6, 0.7, 0.5, 0.99]))
    found = {name: measured(name, rows)[0] for name in LEVELS}
    assert found == pytest.approx(
        {
            "mcs": (0.35 - 1.6) / 3,
            "over_confidence": 0.35,
            "under_confidence": -0.4,
            "over_confident_share": 1 / 3,
            "under_confident_share": 2 / 3,
            "classwise_ece": ((0.1 + 0.8) / 2 + 0.4 + 0.4) / 3,
        }
    )


@pytest.mark.parametrize("gap", [0.0, 0.1, -0.1])
def test_a_constant_gap_is_the_level_of_every_class(gap: float) -> None:
    """Accuracy 0.75 and confidence 0.75 + d in each of 4 classes: each level is d, and MCS 4 d."""
    labels = np.repeat(np.arange(4), 100)
    predicted = np.where(np.arange(400) % 4 == 0, (labels + 1) % 4, labels)
    rows = table(labels, predicted, np.full(400, 0.75 + gap))
    assert measured("mcs", rows)[0] == pytest.approx(4 * gap, abs=1e-12)
    side, other = ("over", "under") if gap >= 0 else ("under", "over")
    assert measured(f"{side}_confidence", rows)[0] == pytest.approx(gap, abs=1e-12)
    assert measured(f"{other}_confidence", rows)[0] == 0
    assert measured(f"{side}_confident_share", rows)[0] == 1
    assert measured("classwise_ece", rows)[0] == pytest.approx(abs(gap), abs=1e-12)


def test_a_class_that_a_draw_leaves_out_does_not_count() -> None:
    rows = table(np.array([0, 1, 1]), np.array([0, 1, 1]), np.array([0.5, 0.9, 0.8]))
    weights = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]], np.uint8)
    expected = [(-0.5 - 0.15) * 2 / 2, -0.15, -0.5, np.nan]
    assert measured("mcs", rows, weights) == pytest.approx(expected, nan_ok=True)
    for name in LEVELS:
        assert np.isnan(measured(name, rows, weights)[3]), name
        assert np.isnan(measured(name, rows.slice(0, 0))).all(), name


def test_what_levels_do_not_give_is_refused() -> None:
    metric = registry.find("metrics", "mcs")
    with pytest.raises(ParamsError, match="of: 'overs' .*over"):
        metric.facts({"of": "overs"})
    for bins in (0, 2.5, True):
        with pytest.raises(ParamsError, match="bins is .* expected a whole number"):
            metric.compute(Rows(table(*drawn())), np.ones((400, 1), np.uint8), of="error", bins=bins)


# -------------------------------------------------------------------------------------------- tail


def failure(name: str, scores: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    metric = registry.find("metrics", name)
    weights = np.ones((len(scores), 1), np.uint8) if weights is None else weights
    found: np.ndarray = metric.compute(scores, correct, weights, **defaults(metric))
    return found


def risks(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return r_1 to r_n: the errors within a block of equal scores are replaced by their mean."""
    order = np.argsort(scores, kind="stable")
    wrong = (~correct[order]).astype(float)
    for value in np.unique(scores):
        tied = scores[order] == value
        wrong[tied] = wrong[tied].mean()
    return np.cumsum(wrong) / np.arange(1, len(wrong) + 1)


def written_out(scores: np.ndarray, correct: np.ndarray) -> dict[str, float]:
    """Return the three numbers by the specification's pseudocode."""
    n, a, r = len(scores), correct.mean(), risks(scores, correct)
    first = max(1, round(a * n))
    ranks = np.arange(1, n + 1)
    ideal = np.maximum(0, (ranks - a * n) / ranks)
    area = (r - ideal)[first - 1 :].sum() / n
    at_95 = max(1, round(0.95 * n))
    return {"e_auoptrc_tail": area, "trust_index": 1 - r[first - 1], "trust_index_95": 1 - r[at_95 - 1]}


TAIL = ("e_auoptrc_tail", "trust_index", "trust_index_95")
SCORES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "distinct": lambda random: random.permutation(120).astype(float),
    "tied": lambda random: random.integers(0, 12, 120).astype(float),
    "constant": lambda _: np.zeros(120),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("name", TAIL)
def test_the_tail_is_the_pseudocode_under_every_draw(name: str, kind: str) -> None:
    random = np.random.default_rng(5)
    scores, correct = SCORES[kind](random), random.random(120) < 0.7
    weights = random.poisson(1, (120, 40)).astype(np.uint8)
    found = failure(name, scores, correct, weights)
    for draw in range(40):
        copies = np.repeat(np.arange(120), weights[:, draw])
        expected = written_out(scores[copies], correct[copies])[name]
        assert found[draw] == pytest.approx(expected, abs=1e-12)


def test_the_ideal_order() -> None:
    correct = np.random.default_rng(1).random(500) < 0.8
    scores = np.where(correct, 0.0, 1.0) + np.random.default_rng(2).random(500) / 2
    assert failure("e_auoptrc_tail", scores, correct) == pytest.approx([0], abs=1e-12)
    assert failure("trust_index", scores, correct) == [1]


def test_a_random_order() -> None:
    """r(c) is 1 - a at all coverages, so the area is -a ln a - a (1 - a) = 0.0185 at a = 0.8."""
    n, a = 10_000, 0.8
    correct = np.arange(n) % 5 > 0
    expected = -a * np.log(a) - a * (1 - a)
    assert expected == pytest.approx(0.0185, abs=5e-5)
    random = np.random.default_rng(4).permutation(n).astype(float)
    assert failure("e_auoptrc_tail", random, correct)[0] == pytest.approx(expected, abs=0.002)
    # A constant score is its expectation.
    assert failure("e_auoptrc_tail", np.zeros(n), correct)[0] == pytest.approx(expected, abs=1e-4)
    assert failure("trust_index", np.zeros(n), correct)[0] == pytest.approx(a, abs=1e-12)


def test_the_tail_by_hand() -> None:
    # right, wrong, right, wrong: a = 1/2, i* = 2; r_2..4 = 1/2, 1/3, 1/2 and ideal 0, 1/3, 1/2.
    scores, correct = np.arange(4.0), np.array([True, False, True, False])
    assert failure("e_auoptrc_tail", scores, correct)[0] == pytest.approx(1 / 8, abs=1e-15)
    assert failure("trust_index", scores, correct)[0] == 0.5
    # All wrong: the tail begins at the first sample, and no order is better.
    wrong = np.zeros(4, bool)
    assert failure("e_auoptrc_tail", scores, wrong)[0] == 0
    assert failure("trust_index", scores, wrong)[0] == 0


def test_the_tail_of_the_excess_is_no_more_than_the_excess() -> None:
    """What the two curves differ in before the optimal point is in `eaurc` alone."""
    random = np.random.default_rng(8)
    for _ in range(20):
        scores, correct = random.random(90), random.random(90) < random.random()
        assert failure("e_auoptrc_tail", scores, correct) <= failure("eaurc", scores, correct)


def test_a_coverage_is_a_share() -> None:
    metric = registry.find("metrics", "trust_index")
    for wrong in (0.0, 95, -0.1):
        with pytest.raises(ParamsError, match="expected a share in"):
            metric.compute(np.zeros(2), np.ones(2, bool), np.ones((2, 1), np.uint8), coverage=wrong)
    assert "reconstructed" in (e_auoptrc_tail.__doc__ or "")
