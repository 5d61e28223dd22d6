"""Batches: prepared ahead of the model in a second thread, and halved if a GPU's memory is too small."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import devices

T = TypeVar("T")
Outputs = dict[str, np.ndarray]
Predictor = Callable[[list[Sample]], Outputs]
AHEAD = 3  # batches prepared ahead of the model


def batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """Yield lists of `size` samples; the last may be shorter."""
    batch: list[Sample] = []
    for sample in samples:
        batch.append(sample)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def prefetch(items: Iterable[T], depth: int = AHEAD) -> Iterator[T]:
    """Yield items that a second thread takes ahead, in order; an error there is raised here."""
    results: queue.Queue[T | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for item in items:
                results.put(item)
                if stopped.is_set():
                    return
            results.put(None)
        except BaseException as error:  # noqa: BLE001 - handed over to the consumer
            results.put(error)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while (item := results.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()


class Halving:
    """A predictor that halves its batch when the GPU's memory is exhausted."""

    def __init__(self, predictor: Predictor, size: int, *, allowed: bool) -> None:
        self.predictor, self.size, self.allowed = predictor, size, allowed

    def __call__(self, batch: list[Sample], prepared: np.ndarray | None = None) -> Outputs:
        """Predict one batch, in as many pieces as memory requires."""
        while True:
            try:
                parts = [self._piece(batch, prepared, start) for start in range(0, len(batch), self.size)]
                return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            except devices.out_of_memory() as error:
                if not self.allowed or self.size == 1:
                    raise ModelError(
                        f"out of GPU memory at batch size {self.size}; set evaluate.batch_size to a smaller value"
                    ) from error
                self.size //= 2

    def _piece(self, batch: list[Sample], prepared: np.ndarray | None, at: int) -> Outputs:
        piece = slice(at, at + self.size)
        if prepared is None:
            return self.predictor(batch[piece])
        outputs: Outputs = self.predictor.predict_prepared(prepared[piece])  # type: ignore[attr-defined]
        return outputs


def predict_batches(guard: Halving, read: Iterable[list[Sample]]) -> Iterator[tuple[list[Sample], Outputs]]:
    """Yield batches with their outputs; the next ones are read meanwhile, and prepared where the predictor does."""
    prepare = getattr(guard.predictor, "prepare", None)
    prepared_batches = ((batch, prepare(batch) if prepare else None) for batch in read)
    for batch, prepared in prefetch(prepared_batches):
        yield batch, guard(batch, prepared)
