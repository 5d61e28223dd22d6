"""Sinusoids to be learned from ten points each: y = A sin(x + phase), A in 0.1 to 5, phase in 0 to pi, x in -5 to 5.

Support points are at random inputs, query points on a grid over the range of inputs. Each task is drawn from words of
its own key. Trainers that learn over the distribution draw from it themselves (`_sinusoids`), and look at none of these
tasks but those of val.

Source: as `_sinusoids`; 10 support points, 1,000 query points and 1,000 test tasks are those of MPTS (thu-rllab/MPTS,
sinusoid/test.py). We differ: there val is the test set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.systems.mpts.datasets import _sinusoids

TASK = "few_shot_regression"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0-1.0"
CITATION = (
    "Finn, Abbeel and Levine, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML 2017, "
    "arXiv:1703.03400"
)
REDISTRIBUTE = True
IN_ORDER = True
CLASSES: tuple[str, ...] = ()


class Options(declare.Options):
    count: int = Field(1000, ge=1, description="tasks of each split")
    shots: int = Field(10, ge=1, description="support points of a task")
    query: int = Field(1000, ge=1, description="query points of a task")
    seed: fields.Seed = 0


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `count` tasks: `support` float32 (shots, 2), `query` float32 (query, 2), `meta` with the `identifier`.

    Raises:
        ParamsError: no task, or no point of one, is asked for.
    """
    least = min(params["count"], params["shots"], params["query"])
    if least < 1:
        raise ParamsError(f"sinusoid_tasks: count, shots or query is {least}; expected 1 at least")
    for number in range(params["count"]):
        key = f"sinusoid_tasks/{split}/{number:06d}"
        rng = RandomStream(params["seed"], "sinusoid_tasks", split, key)
        identifier = _sinusoids.sample((), rng)
        yield Sample(
            key,
            {
                "support": _sinusoids.make(identifier, params["shots"], rng),
                "query": _sinusoids.grid(identifier, params["query"]),
                "meta": {"identifier": identifier.tolist()},
            },
        )
