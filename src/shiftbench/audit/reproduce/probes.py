"""Probe while a predictor works: is a repeated batch computed like a new one?"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook

from shiftbench.base.sample import Sample
from shiftbench.evaluation.batching import Predictor

ROUNDS = 5
"""New batches that are counted and timed, each before itself, repeated."""


def repeated_batches(
    predictor: Predictor, samples: Sequence[Sample], size: int, before: Callable[[], None]
) -> dict[str, Any]:
    """Return how many torch modules are called for new batches and for the same ones again, and the seconds of both.

    A batch is compared with itself: a decoder that writes up to an end calls more for a longer answer.

    Args:
        predictor: what computes.
        samples: `ROUNDS + 1` batches; the first one is only there for what is done once.
        size: samples of a batch.
        before: is called before each batch, so that each meets the same state.
    """
    first, *new = [samples[at : at + size] for at in range(0, len(samples), size)]
    calls: dict[str, list[int]] = {"new": [], "repeated": []}
    seconds: dict[str, list[float]] = {"new": [], "repeated": []}
    with _counted_modules() as count:

        def predict(batch: Sequence[Sample]) -> tuple[int, float]:
            before()
            earlier, started = count[0], time.perf_counter()
            predictor(list(batch))
            return count[0] - earlier, time.perf_counter() - started

        predict(first)
        for batch in new:  # in turn, so that a busy machine slows both
            for name in ("new", "repeated"):
                number, taken = predict(batch)
                calls[name].append(number)
                seconds[name].append(taken)
    return {"size": size, "calls": calls, "seconds": seconds}


@contextmanager
def _counted_modules() -> Iterator[list[int]]:
    """Give a list whose only element counts the calls of torch modules meanwhile."""
    count = [0]

    def note(*_: object) -> None:
        count[0] += 1

    handle = register_module_forward_pre_hook(note)
    try:
        yield count
    finally:
        handle.remove()
