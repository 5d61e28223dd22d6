"""Searchers: they ask for one point after another and are told how much a model errs there; helper of trainers.

All work on latents of a prior that is standard normal, within `limit` of 0 in each coordinate, and are
interchangeable: `search` gives each the same budget of evaluations. A searcher depends on its stream of random words
and on what it was told alone, so whoever tells it the same errors again has it as it was (`replayed`).

- `Reinforce`: the policy of PoseExaminer. A Gaussian of fixed deviation around a mean, which is one linear layer (a
  weight and a bias) on the input 1; both learn by Adam from log pi(z) (c - b), c = `offset` - `gain` times the error,
  b the running mean of c. The weight is kept within the limit, the bias is not; the mean is their sum, kept within
  the limit, and does not learn where it is cut off. As in the released code b begins at 0.4, so that the first steps
  lead away from the first points, and Adam's rate is so large that coordinates soon end at a limit and stay there.
  What it found is its mean.
- `Random`: draws of the prior. What it found is the worst of them.
- `CmaEs`: the covariance matrix adaptation of the package cma. What it found is the worst point that it asked for.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`policy_2step.py`, `train_advTesting.py`); Williams 1992, REINFORCE, doi:10.1007/BF00992696; Hansen and Ostermeier
2001, doi:10.1162/106365601750190398, by pycma.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream

Floats = NDArray[np.float64]


class Searcher(Protocol):
    """Asks for points and is told errors, in turn."""

    def ask(self) -> Floats:
        """The next point, float64 (d,)."""

    def tell(self, point: Floats, error: float) -> None:
        """Take the error at the point that was asked for last."""

    def best(self) -> Floats:
        """Point of the largest error so far, float64 (d,)."""


class Policy(NamedTuple):
    """Constants of `Reinforce`, as released.

    Attributes:
        std: deviation of points from the mean.
        rate: of Adam.
        gain: of the cost c = `offset` - `gain` error; there 0.1 for a pixel, about 100 of which are a torso.
        offset: likewise.
        baseline: b before the first point, None: its c; then it goes `follow` of the way to each c.
        follow: likewise.
        clip: largest norm of the gradient.
    """

    std: float = 0.05
    rate: float = 0.2
    gain: float = 10.0
    offset: float = 50.0
    baseline: float | None = 0.4
    follow: float = 0.5
    clip: float = 5.0


RELEASED = Policy()


class Reinforce:
    """A Gaussian policy of fixed deviation.

    Args:
        dims: of a point.
        words: random words; each point takes `dims` normal ones.
        limit: of a coordinate of the mean.
        how: constants.
    """

    def __init__(self, dims: int, words: RandomStream, limit: float = 2.0, how: Policy = RELEASED) -> None:
        self.words, self.limit, self.how, self.baseline = words, limit, how, how.baseline
        self.layer = np.zeros((2, dims))  # weight and bias
        self.moments = np.zeros((2, 2, dims))  # of the gradient, of its square
        self.steps = 0

    def best(self) -> Floats:
        """The mean."""
        return np.clip(self.layer.sum(axis=0), -self.limit, self.limit)  # type: ignore[no-any-return] # of clip

    def ask(self) -> Floats:
        """A point of the Gaussian."""
        noise = self.words.normal(self.layer.shape[1]).astype(np.float64)
        return self.best() + self.how.std * noise

    def tell(self, point: Floats, error: float) -> None:
        """Make a step of Adam."""
        cost = self.how.offset - self.how.gain * error
        baseline = cost if self.baseline is None else self.baseline
        slope = (point - self.best()) / self.how.std**2 * (cost - baseline)
        free = np.abs(self.layer.sum(axis=0)) <= self.limit
        gradient = np.tile(np.where(free, slope, 0.0), (2, 1))
        gradient *= min(1.0, self.how.clip / (float(np.linalg.norm(gradient)) + 1e-6))
        self._step(gradient)
        self.layer[0] = np.clip(self.layer[0], -self.limit, self.limit)
        self.baseline = baseline + self.how.follow * (cost - baseline)

    def _step(self, gradient: Floats) -> None:
        self.steps += 1
        for at, (decay, value) in enumerate(((0.9, gradient), (0.999, gradient**2))):
            self.moments[at] += (1 - decay) * (value - self.moments[at])
        first = self.moments[0] / (1 - 0.9**self.steps)
        second = self.moments[1] / (1 - 0.999**self.steps)
        self.layer -= self.how.rate * first / (np.sqrt(second) + 1e-8)


class _Worst:
    """What remembers the worst point."""

    def __init__(self, dims: int) -> None:
        self._worst, self._error = np.zeros(dims), -np.inf

    def best(self) -> Floats:
        """The point with the largest error, the first of equal ones; before any was told, 0."""
        return self._worst.copy()

    def _remember(self, point: Floats, error: float) -> None:
        if error > self._error:
            self._worst, self._error = point.copy(), error


class Random(_Worst):
    """Points of the prior, coordinates beyond the limit brought back to it.

    Args:
        dims: of a point.
        words: random words; each point takes `dims` normal ones.
        limit: of a coordinate.
    """

    def __init__(self, dims: int, words: RandomStream, limit: float = 2.0) -> None:
        super().__init__(dims)
        self.dims, self.words, self.limit = dims, words, limit

    def ask(self) -> Floats:
        """A point of the prior."""
        return np.clip(self.words.normal(self.dims).astype(np.float64), -self.limit, self.limit)

    def tell(self, point: Floats, error: float) -> None:
        """Remember the worst."""
        self._remember(point, error)


class CmaEs(_Worst):
    """CMA-ES within the limits, from 0; a generation is told when the last of its points was.

    Args:
        dims: of a point.
        words: random words.
        limit: of a coordinate.
        std: deviation of the first generation.
        population: points of a generation; 0: 4 + floor(3 ln dims).

    Raises:
        ParamsError: the package cma is not installed.
    """

    def __init__(
        self, dims: int, words: RandomStream, limit: float = 2.0, *, std: float = 0.5, population: int = 0
    ) -> None:
        super().__init__(dims)
        cma = _package()
        options = {
            "bounds": [-limit, limit],
            "seed": np.nan,  # its numbers are ours, not those of NumPy's global generator
            "randn": lambda *shape: words.normal(tuple(map(int, shape))).astype(np.float64),
            "verbose": -9,
            **({"popsize": population} if population else {}),
        }
        self._strategy: Any = cma.CMAEvolutionStrategy(np.zeros(dims), std, options)
        self._asked: list[Floats] = []
        self._errors: list[float] = []

    def ask(self) -> Floats:
        """The next point of the generation."""
        if not self._asked:
            self._asked = [np.asarray(point) for point in self._strategy.ask()]
        return self._asked[len(self._errors)].copy()

    def tell(self, point: Floats, error: float) -> None:
        """Remember the worst, and tell a generation that is complete."""
        self._remember(point, error)
        self._errors.append(error)
        if len(self._errors) == len(self._asked):
            self._strategy.tell(self._asked, [-value for value in self._errors])
            self._asked, self._errors = [], []


def _package() -> Any:
    try:
        with warnings.catch_warnings():  # of plots, which need matplotlib
            warnings.simplefilter("ignore", UserWarning)
            import cma
    except ImportError as error:
        raise ParamsError(
            "searcher: cma needs the package cma, which is not installed; run `pip install 'shiftbench[search]'`"
        ) from error
    return cma


SEARCHERS: dict[str, Callable[..., Searcher]] = {"reinforce": Reinforce, "random": Random, "cma": CmaEs}


def searcher(name: str, dims: int, words: RandomStream, limit: float) -> Searcher:
    """A searcher by its name.

    Raises:
        ParamsError: there is none of that name.
    """
    if name not in SEARCHERS:
        raise ParamsError(f"no searcher {name!r}; {suggest(name, SEARCHERS)}")
    return SEARCHERS[name](dims, words, limit)


def search(
    one: Searcher, error: Callable[[Floats], float], budget: int, until: Callable[[Sequence[float]], bool] | None = None
) -> list[float]:
    """Let a searcher ask `budget` times, or until the errors so far are enough; return the errors.

    Args:
        one: the searcher.
        error: of the model at a point.
        budget: evaluations.
        until: told all errors so far, after each.
    """
    errors: list[float] = []
    while len(errors) < budget and not (until and until(errors)):
        point = one.ask()
        errors.append(error(point))
        one.tell(point, errors[-1])
    return errors


def replayed(one: Searcher, errors: Sequence[float]) -> Searcher:
    """A new searcher after it was told the errors of an earlier one: it goes on where that one stopped."""
    for error in errors:
        one.tell(one.ask(), error)
    return one
