"""Random words: keyed by identity, stable to the bit, and of the distributions they promise."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from scipy import stats

from shiftbench.base import rng
from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream, derive, unit_hash

WORDS = [4595959055204493410, 14184623208600412841, 1488518518464504446]
NORMAL = "7030c40868edff0a"
DERIVED = 6824742604237846868
HASHED = 8446913195896246706


def words(key: str = "k", **options: float) -> RandomStream:
    return RandomStream(0, "fog", "mnist", key, **options)


def test_words_never_change() -> None:
    """Written down once: a change here changes every shifted byte that anyone holds."""
    assert words().raw(3).tolist() == WORDS
    assert hashlib.sha256(rng.normal_table().astype("<i4").tobytes()).hexdigest()[:16] == NORMAL
    assert derive(7, "convnet", "init") == DERIVED
    assert unit_hash("mnist/test/000001") == HASHED


def test_each_part_of_the_identity_counts() -> None:
    identities: list[tuple[Any, ...]] = [
        (0, "fog", "mnist", "k"),
        (1, "fog", "mnist", "k"),
        (0, "fo", "gmnist", "k"),  # same letters, cut elsewhere
        (0, "fog", "mnis", "tk"),
        (0, "fog", "mnist", "k", 3.0),
        (0, "fog", "mnist", "k", 2.5),
        (0, "fog", "mnist", "k3.0"),
        (-1, "fog", "mnist", "k"),
        (0, "", "fog", "mnistk"),
    ]
    first = {int(RandomStream(*identity).raw(1)[0]) for identity in identities}
    assert len(first) == len(identities)


@pytest.mark.parametrize(
    ("call", "taken"),
    [
        (lambda w: w.raw(5), 5),
        (lambda w: w.words16(5), 2),
        (lambda w: w.uniform((3, 3)), 3),
        (lambda w: w.normal(8), 2),
        (lambda w: w.normal(), 1),
        (lambda w: w.poisson(np.ones((5, 2))), 3),
        (lambda w: w.poisson([]), 0),
        (lambda w: w.integers(0, 10, 5), 3),
        (lambda w: w.choice(7, 2), 7),
        (lambda w: w.normal(0), 0),
    ],
)
def test_calls_take_the_documented_number_of_words(call: Callable[[RandomStream], Any], taken: int) -> None:
    used, fresh = words(), words()
    call(used)
    fresh.raw(taken)
    assert used.raw(1) == fresh.raw(1)


def test_16_bit_words_are_read_from_the_low_end() -> None:
    (raw,) = words().raw(1).tolist()
    assert words().words16(4).tolist() == [raw >> shift & 0xFFFF for shift in (0, 16, 32, 48)]


def test_uniform_is_uniform() -> None:
    values = words().uniform((200, 500))
    assert values.dtype == np.float32
    assert 0 < values.min() < values.max() < 1
    assert stats.kstest(values.ravel(), "uniform").pvalue > 0.01


def test_normal_is_normal() -> None:
    values = words().normal((200, 500))
    assert values.dtype == np.float32
    assert stats.kstest(values.ravel(), "norm").pvalue > 0.01
    table = rng.normal_table() / 2**20
    assert table.sum() == 0
    assert table.std() == pytest.approx(1, abs=1e-4)
    middles = (np.arange(65536) + 0.5) / 65536
    np.testing.assert_allclose(table, stats.norm.ppf(middles), atol=2**-21 + 1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.05, 1.0, 7.3, 60.0, 900.0])
def test_poisson_table_is_the_rounded_distribution(rate: float) -> None:
    table = rng.poisson_table(rate)
    exact = stats.poisson.cdf(np.arange(len(table)), rate) * 65536
    np.testing.assert_allclose(table, exact, atol=0.5 + 1e-6)


def test_poisson_draws_each_rate_at_its_place() -> None:
    rates = np.tile([0.0, 1.0, 50.0], (40_000, 1))
    counts = words().poisson(rates)
    assert counts.dtype == np.int64
    np.testing.assert_allclose(counts.mean(axis=0), [0, 1, 50], rtol=0.01)
    np.testing.assert_allclose(counts.var(axis=0), [0, 1, 50], rtol=0.03)
    alone = words().poisson(np.full((40_000, 3), 50.0))
    assert (counts[:, 2] == alone[:, 2]).all()  # other rates beside it change nothing


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf"), 1e5])
def test_poisson_refuses_impossible_rates(rate: float) -> None:
    with pytest.raises(RangeError, match="Poisson rates lie in 0 to 10000"):
        words().poisson([1.0, rate])


def test_integers_and_choice_are_even() -> None:
    counts = np.bincount(words().integers(-3, 4, 70_000) + 3)
    assert stats.chisquare(counts).pvalue > 0.01
    assert words().integers(5, 6) == 5
    assert sorted(words().choice(50)) == list(range(50))
    assert (words().choice(50, 7) == words().choice(50)[:7]).all()
    firsts = np.bincount([words(str(key)).choice(10, 1)[0] for key in range(2000)])
    assert stats.chisquare(firsts).pvalue > 0.01


def test_empty_choices_are_refused() -> None:
    with pytest.raises(RangeError, match="low < high"):
        words().integers(3, 3)
    with pytest.raises(RangeError, match="cannot choose 4 of 3"):
        words().choice(3, 4)


def test_hashes_are_even_and_in_range() -> None:
    hashes = [unit_hash(f"mnist/train/{number:06d}") for number in range(5000)]
    tenths = np.bincount([value * 10 >> 64 for value in hashes])
    assert stats.chisquare(tenths).pvalue > 0.01
    assert all(0 <= derive(seed, "x") < 2**63 for seed in range(100))


def test_normal_quantiles_stay_clear_of_where_rounding_turns() -> None:
    """What keeps the table equal on every CPU: `inv_cdf` errs by some 1e-15, these margins are larger.

    A Newton step in 40 digits would be exact; comparing SciPy's and Python's two independent
    approximations shows that both round alike.
    """
    middles = (np.arange(32768) + 0.5) / 65536
    scipy_table = [round(Decimal(float(value)) * 2**20) for value in stats.norm.ppf(middles)]
    assert scipy_table == rng.normal_table()[:32768].tolist()
