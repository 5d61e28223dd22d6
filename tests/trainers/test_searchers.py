"""Searchers: a literal policy in torch, known maxima, equal budgets, and going on after an interruption."""

import numpy as np
import pytest
import torch

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.trainers import _searchers

NAMES = sorted(_searchers.SEARCHERS)


def words(name: str = "one") -> RandomStream:
    return RandomStream(0, "search", "test", name)


def peak(point: np.ndarray) -> float:
    """An error of 1 at 1.5 in each coordinate, less elsewhere."""
    return float(np.exp(-((point - 1.5) ** 2).mean()))


class Released(torch.nn.Module):
    """The policy as the release has it, with torch's own Adam and clipping: a linear layer on the input 1."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, dims).double()
        for one in self.layer.parameters():
            torch.nn.init.constant_(one, 0.0)
        self.adam = torch.optim.Adam(self.parameters(), lr=0.2)
        self.baseline = 0.4

    def mean(self) -> torch.Tensor:
        self.layer.weight.data = self.layer.weight.data.clamp(-2, 2)
        return self.layer(torch.ones(1).double()).clamp(-2, 2)

    def tell(self, point: torch.Tensor, error: float) -> None:
        cost = 50 - 10 * error
        score = torch.distributions.Normal(self.mean(), 0.05).log_prob(point).sum()
        self.adam.zero_grad()
        (score * (cost - self.baseline)).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 5.0)
        self.adam.step()
        self.baseline = 0.5 * self.baseline + 0.5 * cost


def test_the_policy_learns_as_the_released_one() -> None:
    own, theirs = _searchers.Reinforce(4, words()), Released(4)
    highest = 0.0
    for _ in range(60):
        point = own.ask()
        error = peak(point)
        own.tell(point, error)
        theirs.tell(torch.from_numpy(point), error)
        np.testing.assert_allclose(own.best(), theirs.mean().detach().numpy(), rtol=0, atol=1e-6)
        highest = max(highest, float(np.abs(own.best()).max()))
    assert highest == 2.0, "the limit of the mean was never met"


def test_the_bias_is_not_limited_and_the_mean_is() -> None:
    one = _searchers.Reinforce(1, words(), how=_searchers.Policy(baseline=50.0))
    for _ in range(60):
        point = one.ask()
        one.tell(point, float(point[0]))
    weight, bias = one.layer[:, 0]
    assert weight <= 2
    assert one.best()[0] == 2
    assert weight + bias > 2


@pytest.mark.parametrize("dims", [1, 4])
def test_reinforce_comes_within_a_twentieth_of_a_maximum_in_300_steps(dims: int) -> None:
    """With a smaller rate, and a baseline that begins at the first cost."""
    calm = _searchers.Policy(rate=0.03, baseline=None)
    for number in range(4):
        one = _searchers.Reinforce(dims, words(str(number)), how=calm)
        _searchers.search(one, peak, 300)
        assert peak(one.best()) > 0.95


def test_the_released_constants_end_at_the_limits_whatever_the_error_is() -> None:
    """Not where errors are large: of a flat error every coordinate is soon cut off, too."""
    for error in (peak, lambda _: 0.1):
        one = _searchers.Reinforce(16, words())
        _searchers.search(one, error, 300)
        assert np.mean(np.abs(one.best()) == 2) >= 0.4


def test_cma_finds_a_maximum_in_sixteen_dimensions_that_random_search_does_not() -> None:
    found = {}
    for name in ("cma", "random"):
        one = _searchers.searcher(name, 16, words(), 2.0)
        errors = _searchers.search(one, peak, 300)
        found[name] = peak(one.best())
        assert found[name] == max(errors)
    assert found["cma"] > 0.85 > 0.6 > found["random"]


@pytest.mark.parametrize("name", NAMES)
def test_every_searcher_stays_within_its_limits_and_its_budget(name: str) -> None:
    asked = []

    def error(point: np.ndarray) -> float:
        asked.append(point)
        return float(point.sum())

    one = _searchers.searcher(name, 3, words(), 1.0)
    assert len(_searchers.search(one, error, 70)) == len(asked) == 70
    slack = 0.0 if name != "reinforce" else 5 * 0.05  # points around a mean that is within
    assert np.abs(asked).max() <= 1 + slack
    assert np.abs(one.best()).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_search_that_was_interrupted_goes_on_where_it_was(name: str) -> None:
    whole, rest = _searchers.searcher(name, 5, words(), 2.0), []
    errors = _searchers.search(whole, peak, 50)
    again = _searchers.replayed(_searchers.searcher(name, 5, words(), 2.0), errors[:23])
    rest = _searchers.search(again, peak, 27)
    assert errors[:23] + rest == errors
    np.testing.assert_array_equal(again.best(), whole.best())
    assert errors != _searchers.search(_searchers.searcher(name, 5, words("two"), 2.0), peak, 50)


def test_no_searcher_touches_the_global_generator() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - what pycma would seed
    for name in NAMES:
        _searchers.search(_searchers.searcher(name, 3, words(), 2.0), peak, 20)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_search_stops_when_it_is_told_that_errors_are_enough() -> None:
    one = _searchers.searcher("random", 2, words(), 2.0)
    errors = _searchers.search(one, peak, 50, lambda so_far: len(so_far) >= 7)
    assert len(errors) == 7


def test_another_searcher_is_refused() -> None:
    with pytest.raises(ParamsError, match="no searcher 'reinforced'; did you mean reinforce"):
        _searchers.searcher("reinforced", 2, words(), 2.0)
