"""Claims on released rows: what is known of their errors, other units than samples, how often verdicts are wrong."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from shiftbench.base.errors import DataError
from shiftbench.data import releases
from shiftbench.statistics.claims import released
from shiftbench.statistics.claims.judgement import Judgement, judge_evidence
from shiftbench.statistics.claims.statements import Claim

SCHEMA = releases.rows("palm").schema
DRAWS = 2000


def rows(*given: dict[str, Any]) -> pl.DataFrame:
    """Released rows; each says at least model and value."""
    whole = {"release": "r", "method": "plain", "dataset": "d", "split": "test", "shift": "identity", "severity": 0.0}
    whole |= {"metric": "accuracy", "file": "a.csv", "column": "c", "printed": "0"}
    return pl.DataFrame([{**whole, "row": at, **one} for at, one in enumerate(given)], schema=SCHEMA)


def judged(frame: pl.DataFrame, **claim: Any) -> Judgement:
    claims = {"c": Claim.model_validate({"says": "s", "scale": "released", **claim})}
    return judge_evidence(claims, released.evidence(claims, frame, DRAWS, 0), "released")[0]


def of(model: str | list[str], **more: Any) -> dict[str, Any]:
    return {"metric": "accuracy", "model": model, **more}


GAP = {"difference": [of("a"), of("b")]}


def pair(**known: Any) -> pl.DataFrame:
    return rows({"model": "a", "value": 0.80, **known}, {"model": "b", "value": 0.70, **known})


@pytest.mark.parametrize(
    ("known", "verdict", "said"),
    [
        ({"n": 10_000}, "supported", "these released numbers: shares of 10,000 samples each"),
        ({"n": 60}, "inconclusive", "shares of 60 samples each"),
        ({"seeds": 3, "spread": 0.004}, "supported", "these released numbers: means of 3 seeds each, as printed"),
        ({"seeds": 3, "spread": 0.05}, "inconclusive", "means of 3 seeds each"),
        ({"seeds": 2, "spread": 0.001}, "not evaluable", "of 2 of its 2 numbers neither a spread over 3 seeds"),
        ({"seeds": 3, "spread": 0.0}, "not evaluable", "no interval can be had"),
        ({}, "not evaluable", "no interval can be had"),
    ],
)
def test_what_is_known_of_the_errors_decides(known: dict[str, Any], verdict: str, said: str) -> None:
    found = judged(pair(**known), value=GAP)
    assert found.verdict == verdict
    assert said in found.reason


def test_a_report_needs_no_interval() -> None:
    found = judged(pair(), value=GAP, kind="report")
    assert (found.verdict, found.low) == ("reported", None)
    assert found.value == pytest.approx(0.1)
    assert found.reason == "these released numbers: no interval can be had of them"


def test_a_number_that_is_missing_is_named() -> None:
    found = judged(pair(n=100), value={"difference": [of("a"), of("c")]})
    assert found.verdict == "not evaluable"
    assert "model=c" in found.reason


@pytest.mark.parametrize("unit", ["model", "dataset", "shift"])
def test_other_units_have_a_t_interval_over_them(unit: str) -> None:
    """By hand: mean and t of five differences, though no number has an interval of its own."""
    gains = np.array([0.02, 0.05, 0.03, 0.04, 0.06])
    names = [f"{unit}{at}" for at in range(5)]
    first, second = "dataset" if unit != "dataset" else "method", "dataset" if unit != "dataset" else "method"
    given = []
    for name, gain in zip(names, gains, strict=True):
        given += [
            {"model": "m", first: "x", unit: name, "value": 0.5 + gain},
            {"model": "m", second: "y", unit: name, "value": 0.5},
        ]
    sides = [{"metric": "accuracy", "model": names if unit == "model" else "m", first: which} for which in "xy"]
    found = judged(rows(*given), value={"difference": sides}, unit=unit)
    half = 2.7764 * gains.std(ddof=1) / np.sqrt(5)
    assert (found.value, found.low, found.high) == pytest.approx((0.04, 0.04 - half, 0.04 + half), abs=1e-5)
    assert (found.verdict, found.seeds) == ("supported", 5)
    assert found.reason == f"these released numbers, with 5 {unit.replace('dataset', 'data set')}s as units"


def test_seeds_are_read_from_names_and_have_a_mean() -> None:
    values = {3: 0.71, 17: 0.73, 46: 0.72}
    frame = rows(*({"model": f"m-s{seed}", "value": value} for seed, value in values.items()))
    found = judged(frame, value=of("m"), unit="seed", margin=0.7)
    half = 4.30265 * 0.01 / np.sqrt(3)
    assert (found.value, found.low) == pytest.approx((0.72, 0.72 - half), abs=1e-5)
    assert found.seeds == 3
    assert judged(frame, value=of("m"), kind="report").value == pytest.approx(0.72)
    assert judged(frame, value=of("m-s17"), kind="report").value == pytest.approx(0.73)


def test_two_numbers_that_are_not_told_apart_are_refused() -> None:
    twice = rows({"model": "a", "value": 0.8, "note": "first"}, {"model": "a", "value": 0.7, "note": "second"})
    with pytest.raises(DataError, match="2 released numbers of claims are not told apart by their columns: .*model a"):
        judged(twice, value={"mean": of("a")})


def test_a_mean_over_models_of_the_same_samples_needs_models_as_units() -> None:
    """Draws of such numbers are independent, which the numbers are not: a mean of them would look too certain."""
    frame = rows(*({"model": f"m{at}", "value": 0.5 + at / 100, "n": 1000} for at in range(20)))
    models = [f"m{at}" for at in range(20)]
    for value in (
        {"mean": of(models)},
        {"mean": of(models), "over": "model"},
        {"difference": [{"mean": of(models)}, of("m0")]},
    ):
        found = judged(frame, value=value, margin=0.1)
        assert found.verdict == "not evaluable"
        assert found.reason.startswith("numbers of several models share samples")
    assert judged(frame, value=of(models), unit="model", margin=0.5).seeds == 20
    sets = rows(*({"model": "m", "dataset": f"d{at}", "value": 0.6, "n": 1000} for at in range(20)))
    assert judged(sets, value={"mean": of("m")}, margin=0.5).verdict == "supported"


def test_only_the_numbers_that_are_named_are_drawn() -> None:
    frame = rows(*({"model": f"m{at}", "value": 0.5, "n": 100} for at in range(500)))
    known = released.Released.of(frame).selected(of(["m3", "m400"]))
    assert known.rows["model"].to_list() == ["m3", "m400"]


@pytest.mark.parametrize("true_gap", [0.0, 0.02])
def test_verdicts_are_seldom_wrong(true_gap: float) -> None:
    """Drawn boards of three seeds each: the claim that the gap exceeds its true value is supported in 2.5 % at most."""
    draw = np.random.default_rng(7)
    wrong, count = 0, 300
    for _ in range(count):
        runs = draw.normal([[0.8 + true_gap], [0.8]], 0.01, (2, 3))
        frame = rows(
            *(
                {
                    "model": model,
                    "value": own.mean(),
                    "seeds": 3,
                    "spread": own.std(ddof=1),
                    "row": int(draw.integers(1 << 40)),
                }
                for model, own in zip("ab", runs, strict=True)
            )
        )
        wrong += judged(frame, value=GAP, margin=true_gap).verdict == "supported"
    assert wrong <= 0.025 * count + 3 * np.sqrt(0.025 * count)
