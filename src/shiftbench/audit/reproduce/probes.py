"""A probe that counts whether a repeated batch is computed like a new one."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch.nn.modules.module import register_module_forward_pre_hook

from shiftbench.base.sample import Sample
from shiftbench.evaluation.batching import Predictor

ROUNDS = 5
"""Number of new batches that are counted and timed, each followed by its repetition."""


def repeated_batches(
    predictor: Predictor, samples: Sequence[Sample], size: int, before: Callable[[], None]
) -> dict[str, Any]:
    """Calls of torch modules and seconds, for new batches and for the same batches again.

    A batch is compared with itself, since a decoder makes more calls for a longer answer.

    Args:
        predictor: what computes.
        samples: `ROUNDS + 1` batches; the first one is a warm-up.
        size: samples of a batch.
        before: is called before each batch, so that each batch has the same state.
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
    """A list whose only element counts the calls of torch modules."""
    count = [0]

    def note(*_: object) -> None:
        count[0] += 1

    handle = register_module_forward_pre_hook(note)
    try:
        yield count
    finally:
        handle.remove()
