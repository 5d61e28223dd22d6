import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from shiftbench.base.rng import RandomStream
from shiftbench.statistics import bootstrap

KEYS = pa.array([f"digits/test/{i:06d}" for i in range(300)])


def test_model_belong_to_the_unit() -> None:
    whole = bootstrap.weights(KEYS, 64, 0)
    order = np.random.default_rng(0).permutation(len(KEYS))[:100]
    assert np.array_equal(bootstrap.weights(KEYS.take(pa.array(order)), 64, 0), whole[order])
    assert np.array_equal(bootstrap.weights(KEYS, 16, 0), whole[:, :17])
    assert not np.array_equal(bootstrap.weights(KEYS, 64, 1), whole)
    assert (whole[:, 0] == 1).all()


@settings(max_examples=25)
@given(
    units=st.lists(st.text(max_size=8), max_size=9),
    times=st.integers(1, 40),
    draws=st.integers(0, 70),
    seed=st.integers(-3, 2**70),
)
def test_model_are_words_of_the_units_stream(units: list[str], times: int, draws: int, seed: int) -> None:
    """Also of more units than are drawn together."""
    named = [f"{unit}/{number}" for unit in units for number in range(times)]
    found = bootstrap.weights(pa.array(named, pa.string()), draws, seed)
    assert found.shape == (len(named), 1 + draws)
    for row, unit in zip(found, named, strict=True):
        words = RandomStream(seed, "bootstrap", "", unit).words16(draws)
        assert np.array_equal(row[1:], bootstrap.table()[words])


def test_equal_units_are_drawn_together() -> None:
    clusters = bootstrap.weights(pa.array(["a", "b", "a"]), 50, 0)
    assert np.array_equal(clusters[0], clusters[2])
    assert not np.array_equal(clusters[0], clusters[1])


def test_model_are_kept() -> None:
    assert bootstrap.weights(KEYS, 32, 0) is bootstrap.weights(pa.array(KEYS.to_pylist()), 32, 0)


def test_table_is_the_poisson_distribution() -> None:
    table = bootstrap.table()
    shares = np.bincount(table) / len(table)
    expected = stats.poisson(1).pmf(np.arange(len(shares)))
    assert table.max() == bootstrap.MAX_WEIGHT
    assert np.abs(shares - expected).max() < 2**-16
    assert abs(table.mean(dtype=np.float64) - 1) < 2e-5


def test_intervals_agree_with_scipys_bootstrap() -> None:
    # The mean of 300 normal values: both percentile intervals are near mean +- 1.96 / sqrt(300).
    values = np.random.default_rng(1).normal(size=len(KEYS))
    weights = bootstrap.weights(KEYS, 4000, 0)[:, 1:].astype(np.float64)
    low, high = bootstrap.interval(values @ weights / weights.sum(axis=0))
    peer = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=2)
    assert np.allclose([low, high], [*peer.confidence_interval], atol=0.01)


def test_interval_by_hand() -> None:
    # 1000 replicates 1..1000: the 25th smallest is 25, the 25th largest 976.
    assert bootstrap.interval(np.arange(1.0, 1001.0)) == (25, 976)
    # With two undefined of 42, k = floor(0.025 * 40) = 1: the extremes.
    assert bootstrap.interval(np.array([np.nan, *range(40), np.nan])) == (0, 39)
    assert np.isnan(bootstrap.interval(np.array([1.0, np.nan]))).all()
    assert np.isnan(bootstrap.interval(np.empty((3, 0)))).all()


def test_p_value_by_hand() -> None:
    # 3 of 99 replicates are not above zero: 2 * (3 + 1) / (99 + 1).
    assert bootstrap.p_value(np.array([-1.0] * 2 + [0.0] + [1.0] * 96)) == 0.08
    assert bootstrap.p_value(np.zeros(9)) == 1
    assert np.isnan(bootstrap.p_value(np.full(4, np.nan)))
