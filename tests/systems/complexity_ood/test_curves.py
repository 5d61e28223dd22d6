"""Metrics of curves over complexity: on made curves of which the truth is known, and against other implementations."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest, spearmanr
from sklearn.linear_model import LogisticRegression

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.registry import defaults
from shiftbench.contracts.metric_inputs import value
from shiftbench.statistics import bootstrap
from shiftbench.statistics.contributions import weighted_sums
from shiftbench.statistics.rows import Row, Rows, SeverityPath
from shiftbench.systems.complexity_ood.metrics import _logistic, _points, compute_allocation

CHANCE = {"chain_mod": 0.1}


def row(at: float, values: Any, n: int = 1000, **changes: Any) -> Row:
    """Return a row of the shift at a severity."""
    values = np.atleast_1d(np.asarray(values, float))
    made = Row(
        benchmark="c", task="free_text", model="chain_mod/decoder-direct-s0", method="plain", detector=None,
        dataset="chain_mod", split="test", reference="chain_mod/test/identity/0", shift="complexity", severity=at,
        group=None, step=None, metric="accuracy", value=float(values[0]), resamples=values[1:], n=n, seed=0, unit="key",
    )  # fmt: skip
    return replace(made, **changes)


def grouped(group: str, values: Any, n: int = 1000, **changes: Any) -> Row:
    return row(0, values, n, reference=None, shift="identity", group=group, **changes)


def computed(name: str, rows: list[Row], **options: Any) -> list[Row]:
    module = registry.find("metrics", name)
    given = {**defaults(module), **options}
    assert module.sources(given) == (given["of"],)
    found: list[Row] = module.compute(rows, **given)
    return found


def one(name: str, rows: list[Row], **options: Any) -> float:
    (found,) = computed(name, rows, **options)
    assert (found.severity, found.group) == (None, None)
    return found.value


def logistic(c: Any, intercept: float, slope: float) -> Any:
    return 1 / (1 + np.exp(-(intercept + slope * np.asarray(c, float))))


# ------------------------------------------------------------------ values by hand


def test_sides_retention_and_illusion_by_hand() -> None:
    rows = [row(c, acc) for c, acc in zip(range(1, 5), (1.0, 0.9, 0.4, 0.1), strict=True)]
    rows.append(row(0, 0.95, reference=None, shift="identity"))  # the mixture is no point
    assert one("accuracy_below", rows) == pytest.approx(0.95)
    assert one("accuracy_above", rows) == pytest.approx(0.25)
    # Corrected: 1, 8/9, 1/3, 0; means 17/18 and 1/6.
    assert one("retention", rows, chance=CHANCE) == pytest.approx((1 / 6) / (17 / 18))
    # Of four a quarter is one: 0.6 - 0.1.
    assert one("illusion_index", rows) == pytest.approx(0.5)
    six = [row(c, acc) for c, acc in zip(range(1, 7), (1, 1, 1, 0, 0.2, 0.4), strict=True)]
    assert one("illusion_index", six) == pytest.approx(0.6 - 0.3)  # two of six are a quarter at least
    uneven = [row(1, 1.0, 100), row(2, 0.5, 100), row(3, 0.0, 800)]
    assert one("illusion_index", uneven) == pytest.approx(0.15 - 0.0)


def test_a_dataset_without_chance_and_one_side_alone() -> None:
    rows = [row(1, 1.0), row(2, 0.5)]
    assert computed("retention", rows, chance={"khop": 0.1}) == []
    assert computed("half_complexity", rows, chance={}) == []
    assert computed("accuracy_above", rows) == []
    with pytest.raises(ParamsError, match="complexities 1 to 2 on chain_mod lie on one side"):
        computed("retention", rows, chance=CHANCE)
    assert np.isnan(one("retention", [row(1, 0.1), row(3, 0.3)], chance=CHANCE))


@pytest.mark.parametrize(("intercept", "slope"), [(6.0, -1.5), (3.0, -0.6), (8.0, -1.1)])
def test_slope_half_and_retention_of_a_known_curve_are_recovered(intercept: float, slope: float) -> None:
    """Within 5 % on 2,000 drawn answers at each complexity; the slope of curves whose chance is 0."""
    random, c = np.random.default_rng(1), np.arange(1, 13)
    shares = logistic(c, intercept, slope)
    plain = [row(at, random.binomial(2000, share) / 2000, 2000) for at, share in zip(c, shares, strict=True)]
    assert one("complexity_slope", plain) == pytest.approx(slope, rel=0.05)
    guessed = [
        row(at, random.binomial(2000, 0.1 + 0.9 * share) / 2000, 2000) for at, share in zip(c, shares, strict=True)
    ]
    known = shares[:3].mean()
    half = (np.log(known / 2 / (1 - known / 2)) - intercept) / slope
    options = {"threshold": 3, "chance": CHANCE}
    assert one("half_complexity", guessed, **options) == pytest.approx(half, rel=0.05)
    assert one("retention", guessed, **options) == pytest.approx(shares[3:].mean() / known, rel=0.05)


def test_what_does_not_fall_has_its_half_beyond() -> None:
    rows = [row(c, acc) for c, acc in zip(range(1, 5), (0.9, 0.91, 0.9, 0.92), strict=True)]
    assert one("half_complexity", rows, chance=CHANCE) == 5


# ------------------------------------------------------------------ against other implementations


def test_the_fit_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(12, 2))
    counts = random.integers(20, 60, 12)
    right = random.binomial(counts, logistic(x[:, 0] - 0.5 * x[:, 1], 0.3, -1.2))
    found = _logistic.fit(x, (right / counts)[:, None], counts.astype(float))[:, 0]
    labels = np.repeat([1, 0] * 12, np.stack([right, counts - right], 1).ravel())
    places = np.repeat(np.repeat(x, 2, 0), np.stack([right, counts - right], 1).ravel(), 0)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(places, labels)
    assert found == pytest.approx([peer.intercept_[0], *peer.coef_[0]], abs=1e-5)
    assert _logistic.predicted(x, found[:, None])[:, 0] == pytest.approx(peer.predict_proba(x)[:, 1], abs=1e-6)


def test_answers_that_are_separated_have_a_slope_by_halves_alone() -> None:
    rows = [row(1, 1.0), row(2, 1.0), row(3, 0.0), row(4, 0.0)]
    whole = [row(c, 1.0) for c in range(1, 5)]
    assert np.isnan(one("complexity_slope", rows, added=0.0))
    assert np.isnan(one("half_complexity", whole, chance=CHANCE, added=0.0))
    # Ten right at 1, none of ten at 2; with halves 10.5 and 0.5 of 11.
    pair = [row(1, 1.0, 10), row(2, 0.0, 10)]
    assert one("complexity_slope", pair) == pytest.approx(-2 * np.log(21), abs=1e-6)
    assert one("half_complexity", whole, chance=CHANCE) == 5
    assert one("complexity_slope", whole) == pytest.approx(0, abs=1e-9)
    # As many right as if the halves had been answered.
    added = [row(1, 10.5 / 11, 11), row(2, 8.5 / 11, 11), row(3, 2.5 / 11, 11)]
    given = [row(1, 1.0, 10), row(2, 0.8, 10), row(3, 0.2, 10)]
    wanted = one("complexity_slope", added, added=0.0)
    assert one("complexity_slope", given) == pytest.approx(wanted, abs=1e-9)
    curve = [row(c, [acc, 1 - acc, 1.0]) for c, acc in ((1, 0.9), (2, 0.6), (3, 0.2))]
    (found,) = computed("complexity_slope", curve, added=0.0)
    assert found.value == pytest.approx(-found.resamples[0], abs=1e-6)
    assert np.isnan(found.resamples[1])


def test_complexity_and_length_are_told_apart_by_groups() -> None:
    pairs = [(c, n) for c in (1, 2, 3, 4) for n in (6, 8)]
    rows = [grouped(f"{c}/{n}", logistic(c, 4.0 - 0.1 * n, -0.9)) for c, n in pairs]
    rows.append(grouped("unknown", 0.5))
    assert one("complexity_slope", rows, added=0.0) == pytest.approx(-0.9, abs=1e-6)
    assert one("length_slope", rows, added=0.0) == pytest.approx(-0.1, abs=1e-6)
    assert one("complexity_slope", rows) == pytest.approx(-0.9, rel=0.01)
    assert one("length_slope", rows) == pytest.approx(-0.1, rel=0.02)
    plain = [grouped(f"{c}", logistic(c, 3.0, -0.7)) for c in (1, 2, 5, 10)]
    assert one("complexity_slope", plain, added=0.0) == pytest.approx(-0.7, abs=1e-6)
    assert computed("length_slope", plain) == []


def test_severities_go_before_groups() -> None:
    rows = [row(c, 1 - c / 10) for c in (1, 2, 3)] + [grouped(str(c), 0.5) for c in (1, 2)]
    (curve,) = _points.curves(rows, "accuracy")
    assert curve.complexities.tolist() == [1, 2, 3]
    assert curve.row(np.array([0.5])).shift == "complexity"
    assert _points.curves(rows[:1], "accuracy") == []


def test_clusters_widen_intervals_as_the_sandwich_says() -> None:
    """Errors of the bootstrap over clusters against Liang and Zeger's estimate, written out."""
    random, clusters, size = np.random.default_rng(3), 300, 6
    c = np.tile(np.arange(1, size + 1), clusters)
    unit = np.repeat(np.arange(clusters), size)
    common = np.repeat(random.normal(scale=1.5, size=clusters), size)
    right = (random.random(len(c)) < logistic(c, 3.0 + common, -0.8)).astype(float)
    matrix = bootstrap.weights(pa.array([f"u{at}" for at in unit]), 1000, 0).astype(float)
    at = [c == level for level in range(1, size + 1)]
    counts = np.array([matrix[some].sum(axis=0) for some in at])
    shares = np.array([right[some] @ matrix[some] for some in at]) / counts
    x = np.arange(1.0, size + 1)[:, None]
    slopes = _logistic.fit(x, shares, counts[:, 0])[1]

    places = np.column_stack([np.ones(len(c)), c])
    peer = LogisticRegression(C=np.inf, tol=1e-10).fit(c[:, None], right)
    p = peer.predict_proba(c[:, None])[:, 1]
    bread = np.linalg.inv(places.T @ (places * (p * (1 - p))[:, None]))
    scores = np.zeros((clusters, 2))
    np.add.at(scores, unit, places * (right - p)[:, None])
    sandwich = np.sqrt((bread @ scores.T @ scores @ bread)[1, 1])
    assert slopes[0] == pytest.approx(peer.coef_[0, 0], abs=1e-5)
    assert slopes[1:].std() == pytest.approx(sandwich, rel=0.1)


def test_ranks_are_those_of_scipy_on_as_many_copies() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(1, 5, 40), random.integers(0, 6, 40)  # many ties
    weights = random.poisson(1, (40, 300))
    found = compute_allocation.spearman(x, y, weights)
    for draw in (0, 1, 249, 250, 299):
        copies = np.repeat(np.arange(40), weights[:, draw])
        assert found[draw] == pytest.approx(spearmanr(x[copies], y[copies]).statistic)
    assert compute_allocation.spearman([1, 1, 2], [5, 6, 6], np.ones((3, 1)))[0] == pytest.approx(0.5)  # by hand
    assert compute_allocation.spearman([1, 2, 3], [7, 7, 7], np.ones((3, 1)))[0] == 0
    assert np.isnan(compute_allocation.spearman([2, 2], [1, 3], np.ones((2, 1)))[0])
    assert np.isnan(compute_allocation.spearman([1, 2], [1, 3], np.zeros((2, 1), int))[0])


def written(tokens: Any, groups: list[str] | None = None) -> Rows:
    """Return records whose first completions have so many tokens, the second ones 99."""
    n = len(tokens)
    lists = [None if one is None else [one, 99] for one in tokens]
    names = pa.array(groups or [None] * n, pa.string())
    return Rows(pa.table({"key": [f"k{at}" for at in range(n)], "tokens": lists, "group": names}))


def test_tokens_are_ranked_over_questions_and_severities() -> None:
    random, metric = np.random.default_rng(2), registry.find("metrics", "tokens_complexity_rank")
    tokens = random.integers(1, 4, (3, 30)) + np.arange(3)[:, None]
    weights = random.poisson(1, (30, 20)).astype(np.uint8)
    path = SeverityPath((0.0, 1.0, 2.0, 4.0), tuple(written(own) for own in (tokens[0], *tokens)))
    (sums,) = weighted_sums([metric.reduce(path)], weights)
    found = metric.finish(sums, path)[None]
    for draw in range(20):
        copies = np.repeat(np.arange(30), weights[:, draw])
        severity = np.repeat([1, 2, 4], len(copies))
        peer = spearmanr(severity, tokens[:, copies].ravel()).statistic
        assert found[draw] == pytest.approx(peer)
    gap = [None, *tokens[1, 1:].tolist()]
    lacking = SeverityPath(path.severities, (*path.rows[:2], written(gap), path.rows[3]))
    assert metric.reduce(lacking).count.tolist() == [0] + 29 * [1]


def test_tokens_are_ranked_over_groups_that_are_numbers() -> None:
    metric = registry.find("metrics", "tokens_group_rank")
    rows = written([5, 9, 7, None, 6, 8], ["1", "3/8", "2", "2", "unknown", "10"])
    assert metric.compute(rows, np.ones((6, 2), np.uint8)) == pytest.approx(
        2 * [spearmanr([1, 3, 2, 10], [5, 9, 7, 8]).statistic]
    )
    assert np.isnan(metric.compute(written([3, 4]), np.ones((2, 1), np.uint8)))


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 10), (299, 300), (12, 12)])
def test_ends_are_wilsons(right: int, n: int) -> None:
    table = pa.table(
        {
            "key": [f"k{at}" for at in range(n)],
            "group": pa.nulls(n, pa.string()),
            "correct": [at < right for at in range(n)],
        }
    )
    peer = binomtest(right, n).proportion_ci(method="wilson")
    ends = [float(value(registry.find("metrics", f"wilson_{end}"), table)[0]) for end in ("low", "high")]
    assert ends == pytest.approx([peer.low, peer.high], abs=1e-12)
