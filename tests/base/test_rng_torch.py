"""`rng_torch.RandomStream` draws the numbers of `rng.RandomStream`, for many samples at a time."""

import numpy as np
import pytest
import torch

from shiftbench.base import rng, rng_torch
from shiftbench.base.errors import RangeError


def both(count: int = 3) -> tuple[list[rng.RandomStream], rng_torch.RandomStream]:
    def words() -> list[rng.RandomStream]:
        return [rng.RandomStream(7, "fog", "mnist", f"mnist/test/{i}") for i in range(count)]

    return words(), rng_torch.RandomStream.of(words())


@pytest.mark.parametrize("draws", [[1, 2, 3, 9], [4, 4], [1001], [0, 5]])
def test_raw_words_are_the_same(draws: list[int]) -> None:
    one, batch = both()
    for count in draws:
        expected = np.stack([words.raw(count) for words in one])
        assert np.array_equal(batch.raw(count).numpy().view(np.uint64), expected)


def test_what_is_made_of_them_is_the_same() -> None:
    one, batch = both()
    calls = [
        ("words16", (7,)),
        ("uniform", ((3, 5),)),
        ("normal", ((2, 3, 3),)),
        ("integers", (-3, 1000, (5,))),
        ("choice", (20,)),
        ("choice", (9, 4)),
        ("uniform", ()),
    ]
    for name, args in calls:
        expected = np.stack([getattr(words, name)(*args) for words in one])
        assert np.array_equal(getattr(batch, name)(*args).numpy(), expected), name


def test_poisson_counts_are_the_same() -> None:
    one, batch = both()
    rates = np.random.default_rng(0).choice([0.0, 0.5, 3.0, 60.0], size=(3, 50))
    expected = np.stack([words.poisson(rate) for words, rate in zip(one, rates, strict=True)])
    assert np.array_equal(batch.poisson(torch.from_numpy(rates)).numpy(), expected)


def test_another_shift_has_other_words_of_the_same_sample() -> None:
    stream_rng = rng.RandomStream(7, "fog", "mnist", "k")
    assert stream_rng.of("snow").key == rng.RandomStream(7, "snow", "mnist", "k").key != stream_rng.key


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: rng.integers(3, 3), "need low < high"),
        (lambda rng: rng.choice(3, 4), "cannot choose 4 of 3"),
        (lambda rng: rng.poisson(torch.full((3, 2), -1.0)), "Poisson rates lie in 0 to"),
    ],
)
def test_wrong_calls_are_told(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RangeError, match=message):
        call(both()[1])
