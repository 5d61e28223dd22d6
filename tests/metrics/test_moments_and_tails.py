"""CVaR, standard deviation and Pearson's correlation equal SciPy's on copies of the samples, as often as they count."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, RangeError
from shiftbench.base.registry import defaults
from shiftbench.data.formats import E9, NLL_LIMIT
from shiftbench.statistics.rows import Rows

LEVELS = {"cvar10": 0.1, "cvar30": 0.3, "cvar50": 0.5, "cvar70": 0.7, "cvar90": 0.9}
Numbers = np.ndarray


def table(n: int = 300, *, gaps: bool = False) -> pa.Table:
    random = np.random.default_rng(5)
    risk = random.integers(0, 40, n) * (E9 // 7)  # many ties
    expected = risk // 3 + random.integers(0, 3 * E9, n)
    missing = random.random(n) < (0.2 if gaps else 0)
    return pa.table({"risk_e9": risk, "predicted_risk_e9": pa.array(expected, mask=missing)})


def value(name: str, rows: pa.Table, weights: Numbers | None = None, **options: Any) -> Numbers:
    metric = registry.find("metrics", name)
    weights = np.ones((len(rows), 1), np.uint8) if weights is None else weights
    found: Numbers = metric.compute(Rows(rows), weights, **{**defaults(metric), **options})
    return found


def risks(rows: pa.Table) -> Numbers:
    return rows["risk_e9"].to_numpy() / E9


def tail(values: Numbers, level: float) -> float:
    """SciPy's mean of what is left when the best are sliced off; it rounds what it slices off down."""
    sliced = len(values) - max(1, round(len(values) * (1 - level)))
    return float(stats.trim1(values, (sliced + 0.5) / len(values), tail="left").mean())


def released(values: Numbers, level: float) -> float:
    """MPTS's `calcu_cvar`, literally."""
    worst = sorted(values, reverse=True)[0 : int(len(values) * (1 - level))]
    return float(np.mean(worst))


PEERS = {
    **{name: lambda rows, at=at: tail(risks(rows), at) for name, at in LEVELS.items()},
    "risk_std": lambda rows: np.std(risks(rows), ddof=1),
    "risk_correlation": lambda rows: (
        stats.pearsonr(rows["predicted_risk_e9"].to_numpy(), rows["risk_e9"].to_numpy()).statistic
    ),
}


@pytest.mark.parametrize("name", PEERS)
def test_a_weight_is_a_number_of_copies(name: str) -> None:
    rows = table()
    weights = np.random.default_rng(0).poisson(1, (300, 5)).astype(np.uint8)
    copies = [rows.take(pa.array(np.repeat(np.arange(300), weights[:, k]))) for k in range(5)]
    assert value(name, rows, weights) == pytest.approx([PEERS[name](one) for one in copies], abs=1e-9)
    order = np.random.default_rng(1).permutation(300)
    assert value(name, rows.take(pa.array(order)), weights[order]) == pytest.approx(
        value(name, rows, weights), abs=1e-12
    )


@pytest.mark.parametrize("name", PEERS)
def test_of_nothing_there_is_no_value(name: str) -> None:
    rows = table()
    assert np.isnan(value(name, rows.slice(0, 0))).all()
    assert np.isnan(value(name, rows, np.zeros((300, 2), np.uint8))).all()


def test_by_hand() -> None:
    rows = pa.table({"risk_e9": [4 * E9, 1 * E9, 3 * E9, 2 * E9], "predicted_risk_e9": [1, 2, 2, 3]})
    assert value("cvar50", rows).tolist() == [3.5]
    assert value("cvar90", rows).tolist() == [4.0]  # one at least
    weights = np.array([[0], [1], [3], [4]], np.uint8)  # 3 3 3 2 2 2 2 1: the worst four
    assert value("cvar50", rows, weights).tolist() == [11 / 4]
    assert value("risk_std", rows) == pytest.approx([(5 / 3) ** 0.5])
    found = value("risk_correlation", rows)
    assert found == pytest.approx([-2 / 10**0.5])  # (-1 x 1.5 + 1 x -0.5) / sqrt(2 x 5)


def test_level_0_is_the_mean_and_higher_levels_are_no_better() -> None:
    rows = table()
    weights = np.random.default_rng(2).poisson(1, (300, 9)).astype(np.uint8)
    found = [value("cvar", rows, weights, level=level) for level in np.linspace(0, 0.999, 40)]
    mean = (weights * risks(rows)[:, None]).sum(axis=0) / weights.sum(axis=0)
    assert found[0] == pytest.approx(mean, abs=1e-12)
    assert (np.diff(found, axis=0) >= 0).all()


def test_the_released_rule_cuts_off_one_task_too_few_of_a_thousand_at_one_level() -> None:
    values = np.random.default_rng(3).integers(0, 10**10, 1000)
    rows = pa.table({"risk_e9": values})
    theirs = {level: released(values / E9, level) for level in LEVELS.values()}
    ours = {level: float(value(name, rows)[0]) for name, level in LEVELS.items()}
    assert int(1000 * (1 - 0.9)) == 99
    assert {at for at in theirs if theirs[at] != pytest.approx(ours[at], abs=1e-9)} == {0.9}
    assert theirs[0.9] == pytest.approx(np.sort(values)[-99:].mean() / E9)


def test_rows_without_a_prediction_do_not_count_in_the_correlation() -> None:
    rows = table(gaps=True)
    there = rows.filter(rows["predicted_risk_e9"].is_valid())
    assert 200 < len(there) < 280
    assert value("risk_correlation", rows) == pytest.approx([PEERS["risk_correlation"](there)])
    none = pa.table({"risk_e9": [1, 2], "predicted_risk_e9": pa.array([None, None], pa.int64())})
    assert np.isnan(value("risk_correlation", none)).all()


def test_a_column_that_does_not_vary_has_no_correlation() -> None:
    rows = pa.table({"risk_e9": [5, 5, 5], "predicted_risk_e9": [1, 2, 3]})
    assert np.isnan(value("risk_correlation", rows)).all()
    varied = pa.table({"risk_e9": [E9 // 3, E9 // 7, 0], "predicted_risk_e9": [1, 2, 3]})
    once = np.array([[7, 7], [0, 0], [0, 1]], np.uint8)  # the first sample seven times, alone
    assert np.isnan(value("risk_correlation", varied, once)).tolist() == [True, False]
    assert np.isnan(value("risk_std", rows.slice(0, 1))).all()


def test_what_is_out_of_range_is_told() -> None:
    for level in (-0.1, 1.0):
        with pytest.raises(ParamsError, match="cvar: level is .* expected 0"):
            value("cvar", table(), level=level)
    many = pa.table({"risk_e9": np.full(9000, NLL_LIMIT)})
    with pytest.raises(RangeError, match="too large to be added exactly"):
        value("cvar90", many)
