"""Cards of a careless author: what their claims look like by chance is supported no more often than the error says."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from makers.metric_rows import FOG, rows
from shiftbench.statistics import intervals
from shiftbench.statistics.claims.judgement import judge
from shiftbench.statistics.claims.metric_rows import MetricRows
from shiftbench.statistics.claims.statements import Claim

DRAWS = 1000
SHARES = {"accuracy": "share"}


def claim(**words: Any) -> Claim:
    return Claim.model_validate({"says": "s", "value": FOG, **words})


def share(right: int, count: int) -> MetricRows:
    """Return a row of a share of samples, with its replicates."""
    weights = np.random.default_rng(right).poisson(1.0, (count, DRAWS))
    hits = np.arange(count) < right
    draws = (weights * hits[:, None]).sum(axis=0) / weights.sum(axis=0)
    found = rows({"model": "net-erm", "value": [right / count, *draws]}, draws=DRAWS)
    ends = np.zeros((1, 2))
    units = np.array([[count, 0]])
    return MetricRows(found.identities, found.values, kinds=SHARES, ends=ends, units=units)


@pytest.mark.parametrize(("count", "verdict"), [(100, "inconclusive"), (200, "supported")])
def test_all_of_a_hundred_says_little(count: int, verdict: str) -> None:
    """Agresti and Coull's lower end at an error of 0.5% is 0.913 for 100 of 100, and 0.954 for 200 of 200."""
    cards = {f"c{at}": claim(margin=0.95) for at in range(10)}
    found = judge(cards, share(count, count))
    assert {one.verdict for one in found} == {verdict}


def test_what_no_draw_moves_decides_nothing() -> None:
    """Two nets that err on the same samples; seeds that are one seed, copied."""
    same = [{"model": f"net-{name}", "value": 0.75} for name in ("erm", "augmix")]
    difference = {"difference": [FOG, {**FOG, "model": "net-augmix"}]}
    found = judge({"above": claim(value=difference, margin=-0.1)}, rows(*same))
    assert found[0].verdict == "inconclusive"
    assert intervals.NO_WIDTH in found[0].reason
    copied = rows(*({"model": f"net-erm-s{seed}", "value": 0.75} for seed in range(3)))
    found = judge({"above": claim(margin=0.5, unit="seed")}, copied)
    assert found[0].verdict == "inconclusive"


def test_equivalence_prints_the_interval_that_decides() -> None:
    values = np.concatenate([[0.0], np.random.default_rng(0).normal(0, 0.01, DRAWS)])
    found = rows({"model": "net-erm", "value": values}, draws=DRAWS)
    one = judge({"same": claim(kind="equivalence", margin=0.05)}, found)[0]
    assert one.verdict == "supported"
    assert one.confidence == pytest.approx(0.9)
    assert one.high == pytest.approx(0.01 * norm.ppf(0.95), rel=0.1)


def test_a_decided_claim_leaves_its_error_to_the_others() -> None:
    """Holm: of four claims three are sure, so that the fourth is judged at the whole 5%."""
    noise = np.random.default_rng(1).normal(0, 1, 4 * DRAWS)
    given = rows(
        {"model": "net-erm", "value": [2.1, *(2.1 + noise)]},
        {"model": "net-augmix", "value": [9.0, *(9 + noise)]},
        draws=4 * DRAWS,
    )
    sure = claim(value={**FOG, "model": "net-augmix"})
    alone = judge({"weak": claim(), **{f"n{at}": claim(margin=9.0) for at in range(3)}}, given)
    helped = judge({"weak": claim(), **{f"s{at}": sure for at in range(3)}}, given)
    assert helped[0].verdict == "supported"
    assert helped[0].confidence == pytest.approx(0.95)
    # here two of three are refuted at once, and the third is at its margin
    assert [one.verdict for one in judge({"weak": claim(), "open": claim(margin=2.1)}, given)] == [
        "inconclusive",
        "inconclusive",
    ]
    assert alone[0].verdict == "supported"


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("arms", [2, 8])
def test_equal_arms_are_rarely_told_apart_by_their_extreme(name: str, arms: int) -> None:
    """All arms at the margin: 400 sets of them, each verdict at most 2.5% of them, and three standard errors."""
    random = np.random.default_rng(arms)
    verdicts = []
    for _ in range(400):
        own = random.normal(0, 1, arms)
        given = [
            {"model": "net-erm", "shift": f"s{at}", "value": [value, *(value + random.normal(0, 1, DRAWS))]}
            for at, value in enumerate(own)
        ]
        extreme = {name: {"metric": "accuracy", "model": "net-erm"}}
        found = judge({"one": claim(value=extreme)}, rows(*given, draws=DRAWS))
        verdicts.append(found[0].verdict)
    limit = 0.025 + 3 * np.sqrt(0.025 * 0.975 / 400)
    assert verdicts.count("refuted") / 400 <= limit
    assert verdicts.count("supported") / 400 <= limit


OURS, THEIRS = {"metric": "accuracy", "model": "net-erm"}, {"metric": "accuracy", "model": "net-augmix"}
DIFFERENCES = {
    "one against the best of others": [{"mean": OURS}, {"max": THEIRS}],
    "the best of others against one": [{"max": THEIRS}, {"mean": OURS}],
    "one against the worst of others": [{"mean": OURS}, {"min": THEIRS}],
    "the best against the worst of others": [{"max": OURS}, {"min": THEIRS}],
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_equal_arms_are_rarely_told_apart_by_a_difference_of_extremes(name: str) -> None:
    """As above; an ensemble is not below "its best member" because the best of three equal members is lucky."""
    random = np.random.default_rng(11)
    ours = 1 if {"mean": OURS} in DIFFERENCES[name] else 3
    verdicts = []
    for _ in range(400):
        given = [
            {"model": arm, "shift": f"s{at}", "value": [value, *(value + random.normal(0, 1, DRAWS))]}
            for arm, count in (("net-erm", ours), ("net-augmix", 3))
            for at, value in enumerate(random.normal(0, 1, count))
        ]
        found = judge({"one": claim(value={"difference": DIFFERENCES[name]})}, rows(*given, draws=DRAWS))
        verdicts.append(found[0].verdict)
    limit = 0.025 + 3 * np.sqrt(0.025 * 0.975 / 400)
    assert verdicts.count("refuted") / 400 <= limit
    assert verdicts.count("supported") / 400 <= limit


def test_an_extreme_that_is_far_is_decided() -> None:
    random = np.random.default_rng(0)
    given = [
        {"model": "net-erm", "shift": f"s{at}", "value": [v, *(v + random.normal(0, 1, DRAWS))]}
        for at, v in enumerate((8.0, 12.0, 20.0))
    ]
    of = {"metric": "accuracy", "model": "net-erm"}
    asked = {
        "smallest": claim(value={"min": of}),
        "largest": claim(value={"max": of}),
        "below": claim(value={"max": of}, margin=40.0),
    }
    verdicts = [one.verdict for one in judge(asked, rows(*given, draws=DRAWS))]
    assert verdicts == ["supported", "supported", "refuted"]


def clusters(count: int, random: np.random.Generator) -> MetricRows:
    """Return a row that is the mean of clusters whose true mean is 0, skewed, with its replicates."""
    each = random.exponential(size=count) - 1
    weights = random.poisson(1.0, (count, DRAWS))
    values = np.concatenate([[each.mean()], each @ weights / np.maximum(weights.sum(axis=0), 1)])
    found = rows({"model": "net-erm", "value": values}, draws=DRAWS)
    return MetricRows(found.identities, found.values, units=np.array([[count, 1]]))


def test_seven_clusters_decide_nothing_and_twenty_err_as_said() -> None:
    random = np.random.default_rng(5)
    card = {"above": claim(margin=0.0)}
    few = [judge(card, clusters(7, random))[0] for _ in range(100)]
    assert {one.verdict for one in few} == {"inconclusive"}
    assert {one.units for one in few} == {7}
    assert "7 clusters are too few to decide" in few[0].reason
    many = [judge(card, clusters(20, random))[0].verdict for _ in range(400)]
    assert many.count("supported") <= 0.025 * 400


def test_looks_share_the_error() -> None:
    """An author who adds three seeds where three have left a claim open errs no more often than one who does not."""
    random, supported = np.random.default_rng(6), 0
    card = {"above": claim(margin=0.0, unit="seed")}
    for _ in range(600):
        values = random.normal(size=6)
        looks = [
            judge(card, rows(*({"model": f"net-erm-s{at}", "value": found} for at, found in given)), looks=2)[0]
            for given in (list(enumerate(values[:3])), list(enumerate(values)))
        ]
        supported += any(one.verdict == "supported" for one in looks)
    assert supported <= 0.025 * 600
    once, twice = (judge(card, rows({"model": "net-erm-s0", "value": 1.0}), looks=n)[0] for n in (1, 2))
    assert (1 - once.confidence) == pytest.approx(2 * (1 - twice.confidence))
