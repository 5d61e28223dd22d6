"""Claims: selectors, combinations by hand, verdicts, and how often they are wrong."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from scipy.stats import binom, kendalltau, spearmanr

from makers.metric_rows import FOG, rows
from shiftbench.statistics import bootstrap
from shiftbench.statistics.claims.expressions import evaluate
from shiftbench.statistics.claims.judgement import judge
from shiftbench.statistics.claims.metric_rows import MetricRows, NotEvaluable, single_value
from shiftbench.workflow.plan.cards import Card


def card(**claims: dict[str, Any]) -> Card:
    paper = {"title": "t", "year": 2024, "identifier": "unknown", "licence": "unknown"}
    return Card.model_validate(
        {
            "title": "t", "status": "planned", "family": "f", "summary": "s", "paper": paper, "needs": {},
            "reported": [], "not_exercised": [],
            "claims": {name: {"says": "s", **claim} for name, claim in claims.items()},
        }
    )  # fmt: skip


CURVE = rows(
    *({"model": "net-erm", "severity": s, "value": v} for s, v in ((5.0, 0.5), (1.0, 0.9), (3.0, 0.8))),
    *({"model": "net-augmix", "severity": s, "value": v} for s, v in ((1.0, 0.8), (3.0, 0.85), (5.0, 0.6))),
)
NETS = ["net-erm", "net-augmix"]
AUGMIX = {**FOG, "model": "net-augmix"}


@pytest.mark.parametrize(
    ("expression", "by_hand"),
    [
        ({"mean": FOG}, (0.5 + 0.9 + 0.8) / 3),
        ({"median": FOG}, 0.8),
        ({"max": {"mean": {**FOG, "model": NETS}, "over": "severity"}}, (0.8 + 0.85 + 0.6) / 3),
        ({"mean": {"max": {**FOG, "model": NETS}, "over": "model"}}, (0.9 + 0.85 + 0.6) / 3),
        ({"max": FOG}, 0.9),
        ({"min": {"abs": {"difference": [FOG, AUGMIX]}}}, 0.05),
        ({"area": FOG}, (2 * 0.85 + 2 * 0.65) / 4),
        ({"slope": FOG}, (-2 * 0.9 + 2 * 0.5) / 8),
        ({"cvar": FOG}, 0.5),
        ({"count": {"difference": [FOG, AUGMIX]}}, 1),
        ({"difference": [{"mean": FOG}, {"max": AUGMIX}]}, (0.5 + 0.9 + 0.8) / 3 - 0.85),
        ({"ratio": [{**FOG, "severity": 5}, {**AUGMIX, "severity": [5]}]}, 0.5 / 0.6),
        ({"spearman": [FOG, AUGMIX]}, spearmanr([0.9, 0.8, 0.5], [0.8, 0.85, 0.6]).statistic),
        ({"kendall": [FOG, AUGMIX]}, kendalltau([0.9, 0.8, 0.5], [0.8, 0.85, 0.6]).statistic),
    ],
)
def test_combinations(expression, by_hand):
    found = evaluate(CURVE, expression)
    assert found.values.shape == (1, 201)
    assert found.values[0] == pytest.approx(by_hand)


def test_the_worst_tenth_follows_the_metric():
    shifts = {f"s{i}": i / 20 for i in range(20)}
    for metric, worst in (("accuracy", 0.025), ("error", 0.925)):
        found = rows(
            *(
                {"model": "net-erm", "shift": s, "metric": metric, "value": [v, v, np.nan if s == "s9" else v]}
                for s, v in shifts.items()
            )
        )
        (tail,) = evaluate(found, {"cvar": {"metric": metric, "model": "net-erm"}}).values
        assert tail[:2] == pytest.approx([worst, worst])
        assert np.isnan(tail[2])
    with pytest.raises(NotEvaluable, match="direction"):
        evaluate(rows({"model": "n-erm", "value": 1, "metric": "x"}), {"cvar": {"metric": "x"}})


def test_lists_keep_places_apart():
    """Several weights that both operands name, in another order; and a column that is null in other rows."""
    names = {"a-erm": (0.9, 0.1), "b-erm": (0.7, 0.3), "c-erm": (0.8, 0.2)}
    places = [({"severity": 1.0}, 0), ({"severity": None, "metric": "drop"}, 1)]
    found = rows(*({"model": w, "value": v[at], **place} for place, at in places for w, v in names.items()))
    both = {"model": list(names), "shift": "fog"}
    one = {"metric": "accuracy", "severity": [1, 2], **both}
    order = [2, 0, 1, 3, 4, 5]
    for given in (found, MetricRows(found.identities[order], found.values[order])):
        other = {"metric": "drop", "severity": None, **both}
        assert evaluate(given, {"spearman": [one, other]}).values[0, 0] == pytest.approx(-1)
        sums = evaluate(given, {"mean": {"difference": [one, other]}})
        assert sums.values[0, 0] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ({"metric": "auroc"}, "no row has metric=auroc"),
        ({"metric": "accuracy", "shfit": "fog"}, "no column 'shfit' .did you mean shift"),
        ({"difference": [FOG, {**AUGMIX, "severity": [1, 3]}]}, "3 and 2 places, not the same"),
        ({"slope": {**FOG, "severity": 1}}, "rows of two severities"),
        ({"max": {"mean": FOG, "over": "severty"}}, "no column 'severty' .did you mean severity"),
        ({"kendall": [{**FOG, "severity": 1}, {**AUGMIX, "severity": 1}]}, "three places"),
    ],
)
def test_what_is_not_there_is_said(expression, why):
    with pytest.raises(NotEvaluable, match=why):
        evaluate(CURVE, expression)
    if "shfit" in expression:  # no claim can name a column that no table has
        with pytest.raises(ValidationError, match=why):
            card(one={"value": {"mean": expression}})
        return
    (judged,) = judge(card(one={"value": {"mean": expression}}).claims, CURVE)
    assert judged.verdict == "not evaluable"
    assert judged.reason


def spread(middle: float, half: float) -> np.ndarray:
    """A value with 200 replicates, evenly within `half` of it."""
    return np.concatenate([[middle], np.linspace(middle - half, middle + half, 200)])


@pytest.mark.parametrize(
    ("value", "claim", "verdict"),
    [
        (spread(0.2, 0.1), {"margin": 0.05}, "supported"),
        (spread(0.2, 0.1), {"margin": 0.15}, "inconclusive"),
        (spread(0.2, 0.1), {"margin": 0.4}, "refuted"),
        (spread(0.0, 0.1), {"kind": "equivalence", "margin": 0.2}, "supported"),
        (spread(0.15, 0.1), {"kind": "equivalence", "margin": 0.2}, "inconclusive"),
        (spread(0.5, 0.1), {"kind": "equivalence", "margin": 0.2}, "refuted"),
        (spread(0.25, 0.1), {"kind": "report"}, "reported"),
        (spread(0.25, 0.1), {"scale": "full"}, "not run at this scale"),
        (spread(0.25, 0.1), {"gate": {"value": FOG, "above": 0.1}}, "supported"),
        (spread(0.25, 0.1), {"gate": {"value": FOG, "above": 0.2}}, "not evaluable"),
        (spread(np.nan, 0.1), {}, "not evaluable"),
    ],
)
def test_verdicts(value, claim, verdict):
    (judged,) = judge(card(one={"value": FOG, **claim}).claims, rows({"model": "net-erm", "value": value}))
    assert judged.verdict == verdict


def test_what_is_combined_over_groups_need_not_name_them():
    found = rows(
        *(
            {"model": net, "group": group, "value": value}
            for net, value in (("net-erm", 0.4), ("net-augmix", 0.6))
            for group in ("a", "b")
        ),
        {"model": "net-erm", "value": 0.9},
    )
    worst = {"max": {**FOG, "group": ["a", "b"]}, "over": "group"}
    assert single_value(evaluate(found, worst))[0] == 0.4
    assert single_value(evaluate(found, FOG))[0] == 0.9
    each = {"mean": {"metric": "accuracy", "shift": "fog"}, "over": "group"}
    spread = {"difference": [{"max": each}, {"min": each}]}
    assert single_value(evaluate(found, spread))[0] == pytest.approx(0.2)


def test_the_more_claims_the_wider_the_interval():
    found = rows({"model": "net-erm", "value": spread(0.2, 0.1)})
    claim = {"value": FOG, "margin": 0.105}
    assert [one.verdict for one in judge(card(one=claim).claims, found)] == ["inconclusive"]
    claim["margin"] = 0.102
    (alone,) = judge(card(one={**claim, "margin": 0.1005}).claims, found)
    first, *_ = judge(card(one=claim, two=claim, three={**claim, "kind": "report"}).claims, found)
    assert first.confidence == 0.975
    assert first.low < alone.low


def test_what_is_too_little_to_judge_is_inconclusive_with_the_reason():
    found = rows({"model": "net-erm", "value": spread(0.2, 0.1)}, {"model": "net-erm-s0", "value": spread(0.2, 0.1)})
    many = {f"c{i}": {"value": FOG} for i in range(10)}
    first, *_ = judge(card(**many).claims, found)
    assert first.verdict == "inconclusive"
    assert "bootstrap.resamples is to be 400" in first.reason
    (alone,) = judge(card(one={"value": FOG, "unit": "seed"}).claims, found)
    assert (alone.verdict, alone.value, alone.seeds) == ("inconclusive", pytest.approx(0.2), 1)
    assert "one training seed" in alone.reason


def test_a_part_shows_the_interval_that_decided_it():
    """`all` of 4: support takes 95% of each, refutation 98.75%."""
    effects = {"a": 0.2, "b": 0.2, "c": 0.2, "d": -0.0965}
    found = rows(*({"model": "net-erm", "shift": s, "value": spread(v, 0.1)} for s, v in effects.items()))
    asked = {"value": {"metric": "accuracy"}, "over": "shift"}
    (judged,) = judge(card(one=asked).claims, found)
    assert [part.verdict for part in judged.parts] == ["supported"] * 3 + ["inconclusive"]
    assert judged.verdict == "inconclusive"
    effects["d"] = -0.12
    found = rows(*({"model": "net-erm", "shift": s, "value": spread(v, 0.1)} for s, v in effects.items()))
    (judged,) = judge(card(one=asked).claims, found)
    assert judged.verdict == "refuted"
    assert [part.confidence for part in judged.parts] == pytest.approx([0.95] * 3 + [0.9875])


def test_seeds_are_units_within_each_value_that_is_quantified_over():
    found = rows(
        *(
            {"model": f"net-erm-s{s}", "shift": shift, "value": spread(v + s / 100, 0.05)}
            for shift, v in (("fog", 0.2), ("snow", 0.3))
            for s in range(3)
        )
    )
    asked = {"value": {"metric": "accuracy"}, "over": "shift", "unit": "seed"}
    (judged,) = judge(card(one=asked).claims, found)
    assert judged.verdict == "supported"
    assert [(part.part, part.seeds) for part in judged.parts] == [("fog", 3), ("snow", 3)]


def test_quantifiers_over_seeds():
    found = rows(*({"model": f"net-erm-s{s}", "value": spread(v, 0.05)} for s, v in enumerate((0.2, 0.3, -0.2))))
    claim = {"value": FOG, "over": "seed"}
    verdicts = {
        how: judge(card(one={**claim, "quantifier": how}).claims, found)[0].verdict for how in ("all", "exists", 2, 3)
    }
    assert verdicts == {"all": "refuted", "exists": "supported", 2: "supported", 3: "refuted"}
    (mean,) = judge(card(one={"value": FOG, "unit": "seed"}).claims, found)
    assert mean.value == pytest.approx(0.1)
    assert mean.seeds == 3
    assert mean.high - mean.low > 0.3  # seeds differ far more than resampled samples do


SETS, N, DRAWS, EFFECT = 200, 400, 400, 0.06


def record_set(number: int, effect: float) -> MetricRows:
    """Two nets that are right on 75% and 75% + effect of paired samples, resampled by the one resampler."""
    random = np.random.Generator(np.random.Philox(key=number))
    hard = random.random(N)
    one, other = (hard < 0.75).astype(float), (hard < 0.75 + effect).astype(float)
    flip = random.random((2, N)) < 0.05
    one, other = np.where(flip[0], 1 - one, one), np.where(flip[1], 1 - other, other)
    weights = bootstrap.weights(pa.array([f"{number}/{i}" for i in range(N)]), DRAWS, 0).astype(float)
    means = [hits @ weights / weights.sum(axis=0) for hits in (one, other)]
    return rows({"model": "net-erm", "value": means[0]}, {"model": "net-augmix", "value": means[1]})


def test_verdicts_are_calibrated():
    """A zero effect is called supported in at most 7% of 200 sets, a planted one in at least 80%; intervals cover."""
    claims = card(better={"value": {"difference": [AUGMIX, FOG]}}).claims
    found = {
        effect: [judge(claims, record_set(1000 * k + i, effect))[0] for i in range(SETS)]
        for k, effect in enumerate((EFFECT, 0.0, -EFFECT))
    }
    share = {e: np.mean([one.verdict == "supported" for one in many]) for e, many in found.items()}
    assert share[0.0] <= 0.07
    assert share[EFFECT] >= 0.80
    assert share[-EFFECT] == 0
    assert np.mean([one.verdict == "refuted" for one in found[-EFFECT]]) >= 0.80
    truth = {effect: 0.9 * effect for effect in found}  # 5% flips on both sides
    covered = [one.low <= truth[effect] <= one.high for effect, many in found.items() for one in many]
    assert 0.93 <= np.mean(covered) <= 0.97
    assert binom.sf(sum(covered) - 1, len(covered), 0.95) > 0.001
