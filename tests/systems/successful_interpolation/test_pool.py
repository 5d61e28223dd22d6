"""Statistics over nets: ranks under copies, gains and barriers by hand, what is resampled, and what must not count."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Row
from shiftbench.systems.successful_interpolation.metrics import _pool
from shiftbench.systems.successful_interpolation.metrics.interpolation_paths import (
    barrier,
    barrier_correlation,
    interpolation_gain,
    kept_margin,
    pool_accuracy,
    repair,
    sharpness_correlation,
)

DRAWS = 40
STARTS = ("few/net-generalist-s0", "few/net-generalist-s1")
ID = {0: 0.70, 25: 0.80, 50: 0.855, 75: 0.86, 100: 0.86}
OOD = {0: 0.60, 25: 0.66, 50: 0.64, 75: 0.58, 100: 0.50}


def row(metric: str, value: float, group: str | None, step: int | None, **place: Any) -> Row:
    known: dict[str, Any] = {
        "model": STARTS[0], "method": "slow", "detector": None, "dataset": "clothes", "split": "test",
        "reference": None, "shift": None, "severity": None, "n": 12, "seed": 0, "unit": "key", "units": 12, **place,
    }  # fmt: skip
    draws = np.full(DRAWS, value)
    return Row("pools", "classification", group=group, step=step, metric=metric, value=value, resamples=draws, **known)


def path(line: dict[int, float], group: str, metric: str = "path_accuracy", **place: Any) -> list[Row]:
    return [row(metric, value, group, step, **place) for step, value in line.items()]


def named(rows: list[Row], **wanted: Any) -> list[Row]:
    return [one for one in rows if all(getattr(one, name) == value for name, value in wanted.items())]


def counts(start: str, nets: list[str]) -> np.ndarray:
    units = pa.array([f"{start}/{net}" for net in nets], pa.string())
    return bootstrap.weights(units, DRAWS, 0).astype(float)


def test_spearman_counts_copies() -> None:
    random = np.random.default_rng(0)
    one, other = random.integers(0, 5, 9).astype(float), random.normal(size=9)
    weights = np.column_stack([np.ones(9), random.poisson(1, (9, 30))]).astype(float)
    found = _pool.spearman(one, other, weights)
    for draw, value in enumerate(found):
        copies = np.repeat(np.arange(9), weights[:, draw].astype(int))
        assert value == pytest.approx(spearmanr(one[copies], other[copies]).statistic)
    assert np.isnan(_pool.spearman(np.ones(9), other, weights)).all()


def test_instability_is_the_closed_form_of_a_quadratic() -> None:
    line = {a: (a / 100 - 0.5) ** 2 for a in range(0, 101, 10)}  # a valley: both ends are the highest
    hill = {a: 1 - (a / 100 - 0.3) ** 2 for a in range(0, 101, 10)}
    rows = path(line, "ood", "path_loss") + path(hill, "id", "path_loss")
    rows += path({a: 1 - value for a, value in hill.items()}, "id")
    found = {one.group: one.value for one in barrier.compute(rows, ["id", "ood"])}
    assert found["ood"] == pytest.approx(0)
    expected = 1 - (hill[0] + hill[100]) / 2
    assert found["id"] == pytest.approx(expected)
    assert found["id_error"] == pytest.approx(expected)


def test_gain_is_over_the_better_end_of_the_plain_path() -> None:
    rows = path(OOD, "ood") + path({25: 0.7, 50: 0.5, 75: 0.5}, "ood_delta_0.3_others")
    rows += path(OOD, "ood_finding") + path(OOD, "ood", seed=None, model="few/net-generalist")
    found = interpolation_gain.compute(rows, "ood", 0)
    single = {one.group: one.value for one in named(found, method="slow")}
    assert single == pytest.approx({"ood": 0.06, "ood_delta_0.3_others": 0.10})
    assert named(found, method="pool", seed=None)[0].value == pytest.approx(0.06)


def test_margins_are_those_of_the_fine_tuned_net_and_val_chooses() -> None:
    rows = path(ID, "id") + path(OOD, "ood") + path(OOD, "ood_finding")
    rows += path({0: 0.7, 25: 0.8, 50: 0.84, 75: 0.85, 100: 0.85}, "val", split="val")
    found = named(kept_margin.compute(rows, 0.01, 0.0, 0), seed=None)
    assert {one.step for one in found if one.step is not None} == {25, 50, 75}
    at = {(one.group, one.step): one.value for one in found}
    assert at["id", 50] == pytest.approx(0.005)
    assert at["id", 25] == pytest.approx(-0.05)
    assert at["ood", 50] == pytest.approx(0.14)
    assert (at["a_chosen", None], at["ood_chosen", None]) == pytest.approx((0.5, 0.14))
    assert at["ood_oracle", None] == pytest.approx(0.14)
    harder = {one.group: one.value for one in kept_margin.compute(rows, 0.0, 0.02, 0) if one.step is None}
    assert (harder["a_chosen"], harder["ood_chosen"]) == pytest.approx((0.75, 0.06))


def pool(random: np.random.Generator, nets: list[str]) -> list[Row]:
    rows = []
    for seed, start in enumerate(STARTS):
        for net in nets:
            place = {"model": start, "method": net, "seed": seed}
            rows += path({a: random.random() for a in (0, 50, 80, 100)}, "ood", **place)
            rows += path({a: random.random() for a in (50, 80)}, "stragglers_0.01", "sharpness", **place)
    return rows


def test_nets_are_resampled_and_starts_are_averaged() -> None:
    nets = ["a", "b", "c", "d", "e"]
    rows = pool(np.random.default_rng(1), nets)
    found = sharpness_correlation.compute(rows, "sharpness", 0)
    whole = [named(found, model=start, step=None, group="stragglers_0.01")[0] for start in STARTS]
    for start, one in zip(STARTS, whole, strict=True):
        pairs = [
            [named(rows, model=start, method=net, step=a, metric=metric)[0].value for net in nets for a in (50, 80)]
            for metric in ("sharpness", "path_accuracy")
        ]
        weights = np.repeat(counts(start, nets), 2, axis=0)
        assert one.all == pytest.approx(_pool.spearman(*np.array(pairs), weights), nan_ok=True)
        assert one.n == 5
    both = named(found, model="few/net-generalist", step=None, group="stragglers_0.01")[0]
    assert both.all == pytest.approx(np.mean([one.all for one in whole], axis=0), nan_ok=True)
    assert (both.seed, both.n) == (None, 10)
    within = named(found, group="stragglers_0.01_within", seed=None)[0]
    assert -1 <= within.value <= 1
    assert within.value == pytest.approx(np.mean([one.value for one in named(found, group=within.group)][:2]))
    accuracy = named(pool_accuracy.compute(rows, ["ood"], 0), model=STARTS[0], step=50)[0]
    values = [named(rows, model=STARTS[0], method=n, step=50, group="ood")[0].value for n in nets]
    own = counts(STARTS[0], nets)
    assert accuracy.all == pytest.approx(np.array(values) @ own / own.sum(0), nan_ok=True)


def test_barriers_are_of_other_pictures_than_gains_and_repair_is_a_mean_of_changes() -> None:
    rows = []
    for net, top, sparse in (("a", 0.66, 0.70), ("b", 0.64, None), ("c", 0.62, 0.60), ("d", 0.55, 0.6)):
        place = {"method": net}
        rows += path({**OOD, 25: top, 50: 0.5, 75: 0.5}, "ood", **place)
        rows += [row("barrier", -top, "ood_finding", None, **place), row("barrier", top, "ood", None, **place)]
        if sparse:
            rows += path({25: sparse, 50: 0.5, 75: 0.5}, "ood_delta_0.3_stragglers", **place)
    rows += interpolation_gain.compute(rows, "ood", 0)
    rows = [one if one.metric != "path_accuracy" or one.step is not None else gain(one) for one in rows]
    found = barrier_correlation.compute(rows, ["ood_finding", "ood"], "ood", 0)
    values = {one.group: one.value for one in named(found, seed=None)}
    assert values == pytest.approx({"ood_finding": 1, "ood": -1})
    changed = repair.compute(rows, "ood", 0)
    assert [one.group for one in changed] == ["delta_0.3_stragglers"]
    assert changed[0].value == pytest.approx(np.mean([0.04, -0.02, 0.05]))
    assert (changed[0].n, changed[0].seed) == (3, None)


def gain(one: Row) -> Row:
    return row("interpolation_gain", one.value, one.group, None, method=one.method, model=one.model, seed=one.seed)
