"""Candidates of meta-training: what tasks are drawn from, by name, and how their points are made.

A distribution yields the candidates of each iteration, for ever. They are words of (seed, dataset, block of iterations)
alone, whatever is chosen of them.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.systems.mpts.datasets import _pictures, _sinusoids
from shiftbench.systems.mpts.models import _meta_net, maml_convnet, maml_mlp
from shiftbench.systems.mpts.models._links import Floats

Bounds = Sequence[tuple[float, float]]
SOURCES: dict[str, tuple[str, ...]] = {"sinusoids": (), "pictures": fashion_mnist.SOURCES}
"""Originals by distribution."""
BLOCK = 250
"""Iterations whose tasks are drawn at once."""


class Candidates(Protocol):
    """Candidates of one iteration."""

    @property
    def tasks(self) -> torch.Tensor:
        """Their identifiers, float32 (m, d)."""

    def of(self, chosen: torch.Tensor) -> tuple[torch.Tensor, Floats, Floats]:
        """Identifiers, support and query of those at `chosen` int64 (b,): points (b, k, inputs + 1)."""


class Distribution(Protocol):
    """Distribution of candidates, made from the job."""

    model: ClassVar[type[_meta_net.MetaNet]]
    names: ClassVar[tuple[str, ...]]
    """Of the numbers of an identifier."""
    bounds: ClassVar[Bounds]
    """Of the first two."""

    def __init__(self, job: TrainJob) -> None: ...

    def __iter__(self) -> Iterator[Candidates]: ...


class Points(NamedTuple):
    """Candidates whose points are all made: identifiers (m, d), points float32 (m, k, inputs + 1)."""

    tasks: torch.Tensor
    support: torch.Tensor
    query: torch.Tensor

    def of(self, chosen: torch.Tensor) -> tuple[torch.Tensor, Floats, Floats]:
        """The candidates at the indices `chosen`."""
        tasks, support, query = (part[chosen] for part in self)
        return tasks, support.numpy(), query.numpy()


class Sinusoids:
    """Sinusoids, `shots` support and as many query points of each."""

    model: ClassVar[type[_meta_net.MetaNet]] = maml_mlp.Net
    names: ClassVar[tuple[str, ...]] = _sinusoids.NAMES
    bounds: ClassVar[Bounds] = _sinusoids.BOUNDS

    def __init__(self, job: TrainJob) -> None:
        self.job = job

    def __iter__(self) -> Iterator[Points]:
        """Yield the candidates of each iteration, for ever."""
        params = self.job.params
        for rng in _blocks(self.job):
            tasks = _sinusoids.sample((BLOCK, params["candidates"]), rng)
            points = (_sinusoids.make(tasks, params["shots"], rng) for _ in range(2))
            parts = [torch.from_numpy(part) for part in (tasks.astype(np.float32), *points)]
            yield from map(Points, *parts)


class Undeveloped(NamedTuple):
    """Candidates whose pictures are drawn, and made once they are chosen: identifiers float64 (m, 12)."""

    identifiers: _pictures.Floats
    pictures: _pictures.Chosen
    pool: _pictures.Pixels

    @property
    def tasks(self) -> torch.Tensor:
        """Their identifiers, float32 (m, 12)."""
        return torch.from_numpy(self.identifiers.astype(np.float32))

    def of(self, chosen: torch.Tensor) -> tuple[torch.Tensor, Floats, Floats]:
        """Make those at `chosen`: the first half of the pictures is the support."""
        at = chosen.numpy()
        pictures = _pictures.Chosen(*(part[at] for part in self.pictures))
        images, labels = _pictures.make(self.identifiers[at], pictures, self.pool)
        support, query = np.split(maml_convnet.points(images, labels), 2, axis=1)
        return self.tasks[chosen], support, query


class Pictures:
    """Pairs of clothes, `shots` support pictures and as many of the query; shots are even, half are of each class."""

    model: ClassVar[type[_meta_net.MetaNet]] = maml_convnet.Net
    names: ClassVar[tuple[str, ...]] = _pictures.NAMES
    bounds: ClassVar[Bounds] = _pictures.BOUNDS

    def __init__(self, job: TrainJob) -> None:
        shots = job.params["shots"]
        if shots % 2:
            raise ParamsError(f"{job.trainer}: shots is {shots}; pictures are of two classes, expected an even number")
        self.job = job
        self.pool = _pictures.pool("train", job.inputs[refs.sources(SOURCES["pictures"][0])].parent)

    def __iter__(self) -> Iterator[Undeveloped]:
        """Yield the candidates of each iteration, for ever."""
        params, size = self.job.params, self.pool.shape[1]
        shape = (BLOCK, params["candidates"])
        for rng in _blocks(self.job):
            tasks = _pictures.sample(shape, rng)
            pictures = _pictures.choose(shape, params["shots"], size, rng)
            for at in range(BLOCK):
                one = _pictures.Chosen(*(part[at] for part in pictures))
                yield Undeveloped(tasks[at], one, self.pool)


DISTRIBUTIONS: dict[str, type[Distribution]] = {"sinusoids": Sinusoids, "pictures": Pictures}


def find(name: str) -> type[Distribution]:
    """A distribution.

    Raises:
        ParamsError: there is none of that name.
    """
    sources(name)
    return DISTRIBUTIONS[name]


def sources(name: str) -> tuple[str, ...]:
    """Originals that a distribution draws from.

    Raises:
        ParamsError: there is none of that name.
    """
    if name not in SOURCES:
        raise ParamsError(f"distribution = {name!r} is not known; {suggest(name, SOURCES)}")
    return SOURCES[name]


def _blocks(job: TrainJob) -> Iterator[RandomStream]:
    block = 0
    while True:
        yield RandomStream(job.seed, "tasks", job.dataset, f"{block}")
        block += 1
