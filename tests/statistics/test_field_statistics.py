"""Statistics of released numbers against SciPy and NumPy, and on drawn tables whose truth is known."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import scipy.stats
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.data import releases
from shiftbench.statistics import bootstrap, odd_cells, rank_agreement, seed_noise, size_effect, standing
from shiftbench.statistics.effective_robustness import Pairs, ends

DRAW = np.random.default_rng(7)


# ------------------------------------------------------------------ order


def test_kendall_is_scipys_and_a_resample_is_the_data_with_repeats() -> None:
    one, two = DRAW.integers(0, 9, (2, 40)).astype(float)  # with ties
    weights = np.column_stack([np.ones(40), DRAW.integers(0, 3, 40)]).astype(float)
    found = rank_agreement.kendall(one, two, weights)
    assert found[0] == pytest.approx(scipy.stats.kendalltau(one, two).statistic)
    repeated = np.repeat(np.arange(40), weights[:, 1].astype(int))
    assert found[1] == pytest.approx(scipy.stats.kendalltau(one[repeated], two[repeated]).statistic)


def test_the_mean_of_tau_is_over_pairs_of_columns_with_enough_rows() -> None:
    table = DRAW.normal(size=(30, 3))
    table[5:9, 1] = np.nan
    names = [f"m{at}" for at in range(30)]
    both = np.isfinite(table[:, 1])
    taus = [scipy.stats.kendalltau(table[both, a], table[both, b]).statistic for a, b in ((0, 1), (1, 2))]
    taus.append(scipy.stats.kendalltau(table[:, 0], table[:, 2]).statistic)
    tau, pairs = rank_agreement.mean_kendall(table, names, resamples=50)
    assert (pairs, tau.shape) == (3, (51,))
    assert tau[0] == pytest.approx(np.mean(taus))
    table[4:, 1] = np.nan
    assert rank_agreement.mean_kendall(table, names, resamples=5)[1] == 1
    with pytest.raises(DataError, match="no two columns have 5 rows in common"):
        rank_agreement.mean_kendall(table[:, :2], names, resamples=5)


def test_ranks_are_scipys_and_a_thing_without_draws_keeps_its_value() -> None:
    draws = DRAW.integers(0, 5, (12, 4)).astype(float)
    np.testing.assert_array_equal(rank_agreement.ranks(draws), scipy.stats.rankdata(-draws, axis=0))
    draws[3, 1:] = np.nan
    filled = draws.copy()
    filled[3] = draws[3, 0]
    np.testing.assert_array_equal(rank_agreement.ranks(draws), scipy.stats.rankdata(-filled, axis=0))


# ------------------------------------------------------------------ noise over trainings


def test_p_values_are_welchs() -> None:
    runs = DRAW.normal([[1.0], [2.0], [0.5], [5.0]], [[0.3], [0.1], [0.9], [0.2]], (4, 3))
    found = seed_noise.compare(runs.mean(1), runs.std(1, ddof=1), np.full(4, 3.0))
    assert list(found.order) == list(np.argsort(-runs.mean(1)))
    ordered = runs[found.order]
    for a in range(4):
        for b in range(a):
            expected = scipy.stats.ttest_ind(ordered[a], ordered[b], equal_var=False).pvalue
            assert found.p_values[a, b] == pytest.approx(expected)
            assert found.p_values[b, a] == pytest.approx(expected)
    assert found.pairs == 6
    assert found.uncorrected == (found.p_values[np.triu_indices(4, 1)] < 0.05).sum()


def test_methods_without_a_spread_are_not_compared() -> None:
    found = seed_noise.compare(np.array([0.9, 0.8, 0.7]), np.array([0.0, 0.01, np.nan]), np.array([3.0, 3, 3]))
    assert list(found.order) == [1]
    assert (found.pairs, found.apart, found.neighbours, found.like_the_best) == (0, 0, 0, 0)
    none = seed_noise.compare(np.array([0.9]), np.array([np.nan]), np.array([3.0]))
    assert (none.pairs, none.like_the_best) == (0, 0)


def test_equal_methods_are_rarely_apart_and_different_ones_are() -> None:
    alarms = 0
    for _ in range(300):
        runs = DRAW.normal(0.9, 0.01, (12, 3))
        found = seed_noise.compare(runs.mean(1), runs.std(1, ddof=1), np.full(12, 3.0))
        alarms += found.apart > 0
    assert alarms <= 300 * 0.05 + 3 * np.sqrt(300 * 0.05 * 0.95)
    runs = DRAW.normal(np.repeat([0.5, 0.9], 4)[:, None], 0.001, (8, 5))
    found = seed_noise.compare(runs.mean(1), runs.std(1, ddof=1), np.full(8, 5.0))
    assert found.apart == 16
    assert found.neighbours == 1
    assert found.like_the_best == 3


def drawn_table(scale: float = 1.0) -> NDArray[np.float64]:
    """Methods and benchmarks with effects of their own, normal noise, and a fifth of the cells missing."""
    table: NDArray[np.float64] = DRAW.normal(0, 3, (40, 1)) + DRAW.normal(0, 2, 8) + DRAW.normal(0, scale, (40, 8))
    table[DRAW.random((40, 8)) < 0.2] = np.nan
    return table


# ------------------------------------------------------------------ cells that do not fit


def test_planted_cells_are_found_and_nothing_else() -> None:
    table = drawn_table(0.3)
    planted = [(2, 1), (17, 5), (30, 0)]
    for row, column in planted:
        table[row, column] = np.nanmedian(table[row]) + 12 * (-1) ** row
    found = odd_cells.find(table)
    assert [tuple(map(int, place)) for place in np.argwhere(found.odd)] == planted
    moved = odd_cells.find(table + np.arange(40)[:, None] - 5 * np.arange(8))  # effects change nothing
    np.testing.assert_array_equal(moved.odd, found.odd)
    assert moved.limit == found.limit


def test_clean_tables_are_flagged_as_rarely_as_stated() -> None:
    count = 250
    alarms = sum(bool(odd_cells.find(drawn_table(), seed, tables=300).odd.any()) for seed in range(count))
    assert alarms <= count * 0.05 + 3 * np.sqrt(count * 0.05 * 0.95)


def test_too_few_cells_and_lonely_rows() -> None:
    with pytest.raises(DataError, match="fewer than 5 cells"):
        odd_cells.find(DRAW.normal(size=(4, 3)))
    table = DRAW.normal(size=(20, 3))
    table[0, 1:] = np.nan
    found = odd_cells.find(table, tables=20)
    assert np.isnan(found.residuals[0]).all()
    assert np.isfinite(found.residuals[1:]).all()


# ------------------------------------------------------------------ size


def drawn_pairs(effect: float) -> tuple[Pairs, NDArray[np.float64], list[str]]:
    """Models in three groups whose shifted logit rises by `effect` with each doubling."""
    count = 400
    x, size = DRAW.normal(1, 0.5, count), DRAW.uniform(0, 8, count)
    groups = DRAW.integers(0, 3, count)
    y = -0.5 + 0.9 * x + 0.3 * groups + effect * size + DRAW.normal(0, 0.1, count)
    names = [f"net{at}" for at in range(count)]
    weights = bootstrap.weights(pa.array(names), 300, 0).astype(float)
    clean, shifted = (1 / (1 + np.exp(-values)) for values in (x, y))
    return Pairs(names, clean, shifted, 10**6, weights), 2.0**size, [f"g{one}" for one in groups]


@pytest.mark.parametrize("effect", [0.0, 0.05])
def test_what_a_doubling_goes_with_is_the_coefficient_of_least_squares(effect: float) -> None:
    pairs, parameters, groups = drawn_pairs(effect)
    x, y = pairs.logits()
    constants = np.array([[group == name for name in sorted(set(groups))] for group in groups], float)
    slope = np.linalg.lstsq(np.column_stack([np.log2(parameters), x, constants]), y, rcond=None)[0][0]
    value, low, high = ends(size_effect.doubling(pairs, parameters, groups))
    assert value == pytest.approx(np.mean(1 / (1 + np.exp(-(y + slope))) - pairs.shifted))
    truth = np.mean(1 / (1 + np.exp(-(y + effect))) - pairs.shifted)
    assert low - 0.001 < truth < high + 0.001
    assert (low > 0) == (effect > 0)
    some = parameters.copy()
    some[:100] = np.nan  # a model of unknown size is left out
    assert np.isfinite(size_effect.doubling(pairs, some, groups)).all()


# ------------------------------------------------------------------ effective robustness of each model


def test_the_residual_of_a_model_is_that_of_its_standing() -> None:
    rows = releases.rows("timm").filter(metric="accuracy")
    pairs = Pairs.of(rows, "imagenet", "imagenet_r")
    found = standing.residuals(rows, pairs, pairs.line(), "imagenet", "imagenet_r")
    for at in (0, 500, 1200):
        accuracies = {"imagenet": float(pairs.clean[at]), "imagenet_r": float(pairs.shifted[at])}
        assert found[at] == pytest.approx(standing.of(rows, accuracies, "imagenet", "imagenet_r").above)
    unknown = rows.with_columns(n=pl.lit(None, pl.Int64))
    with pytest.raises(DataError, match="number of images of imagenet is not known"):
        standing.residuals(unknown, pairs, pairs.line(), "imagenet", "imagenet_r")
