"""Models evaluated or trained again, in a separate process: `python -m shiftbench.audit.reproduce.model_worker SPEC`.

A task names a recipe file, whose verb decides. The stage itself trains, and writes below the worker's own root.
For evaluation, only drawn batches are predicted, so the stage's parts are called: the whole stage would take as long
as the run. An evaluation runs in a fork that has computed nothing before.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from shiftbench.audit.reproduce.worker import Answer, Task, pick, serve, watch
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation import batch_sensitivity, nets, onthefly, predictors
from shiftbench.evaluation.batching import Halving, Outputs, Predictor, predict_batches
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.stages import evaluate, train
from shiftbench.workflow.stages.stream_runner import StreamRunner

_ROUNDS = 5  # new batches that are counted and timed, each followed by its repetition
_LARGEST = 16  # samples of a batch that is repeated: whether it is cached does not depend on its size


def make(task: Task, out: Path) -> Answer:
    """Train, or do all measurements of level 3 for one (model, method).

    Args:
        task: `recipe`; for an evaluation also `device`, `batches` (name of records -> numbers of batches), `sizes`
            (name of records -> batch size really used), `first` (name of the records whose data are used for
            measurements).
        out: a folder for rows and features.
    """
    run = Run(Path(task["recipe"]))
    with watch(run) as undeclared:
        answer = _train(run) if run.job.verb == "train" else _Evaluation(run, task, out).answer()
    return {**answer, "undeclared": undeclared()}


def _train(run: Run) -> Answer:
    for artifact in run.job.artifacts:
        run.path(artifact.ref).parent.mkdir(parents=True, exist_ok=True)
    train.run(run, list(run.job.artifacts))
    return {}


class _Evaluation:
    """An evaluation job that runs again, set up as in `evaluate.run`."""

    def __init__(self, run: Run, task: Task, out: Path) -> None:
        self.run, self.task, self.out = run, task, out
        self.spec, self.model = run.job.artifacts[0].recipe, run.job.artifacts[0].inputs[0]
        self.method = registry.find("methods", self.spec["method"]["use"])
        self.adapts = self.method.SEES == "stream"
        self.classes = nets.classes_of(run.path(self.model))
        self.device = task["device"] if torch.cuda.is_available() else "cpu"

    def answer(self) -> Answer:
        """Measure whether repeated batches are computed, predict the drawn batches, and vary batch size and device."""
        first = next(one for one in self.run.job.artifacts if one.ref.name == self.task["first"])
        predictor = self._predictor(self.device, first)
        cached = self._caching(predictor, first)
        stream = StreamRunner(self.run, self.method, predictor, self.classes)
        visits = [self._visit(stream, predictor, artifact) for artifact in self._drawn_conditions()]
        evaluate.place(predictor, self.run, first)
        return {
            "device": self.device,
            "caching": cached,
            "visits": [visit for visit in visits if visit],
            "sensitivity": self._sensitivity(predictor, first),
        }

    def _predictor(self, device: str, artifact: Artifact) -> Predictor:
        """Load the checkpoint, wrap the method around the model, and place it at a condition."""
        inputs = self.run.inputs(self.run.job.artifacts[0])
        plain = predictors.load(self.spec, self.run.path(self.model), self.classes, device, inputs)
        wrapped: Predictor = self.method.wrap(plain, self.spec["method"]["options"], inputs)
        evaluate.place(wrapped, self.run, artifact)
        return wrapped

    # ------------------------------------------------------------------ batches again

    def _drawn_conditions(self) -> list[Artifact]:
        """Conditions in the order of the run; for a method that adapts, all up to the last drawn one."""
        jobs = list(self.run.job.artifacts)
        order = [artifacts[0] for artifacts in evaluate._conditions(self.run, jobs, self.method)]
        drawn = [artifact.ref.name in self.task["batches"] for artifact in order]
        if not self.adapts:
            return list(itertools.compress(order, drawn))
        return order[: len(drawn) - drawn[::-1].index(True)] if any(drawn) else []

    def _visit(self, stream: StreamRunner, predictor: Predictor, artifact: Artifact) -> Answer | None:
        """Predict the drawn batches of a condition (all batches if the method adapts), and write the drawn rows."""
        spec, folder = artifact.recipe, evaluate._folder(self.run, artifact)
        stream.enter(artifact, folder)
        evaluate.place(predictor, self.run, artifact)
        about, entries, size = shards.manifest(folder), shards.index(folder), spec["batch_size"]
        task, space = registry.find("tasks", about["task"]), LabelSpace(tuple(self.classes), tuple(about["classes"]))
        shifted = evaluate._shifted(self.run, artifact, self.device, onthefly.build_shifter)
        drawn = self.task["batches"].get(artifact.ref.name, ())
        numbers = [n for n in range(-(-len(entries) // size)) if n in drawn or self.adapts]
        read = (list(pick(folder, entries[n * size : (n + 1) * size])) for n in numbers)
        guard = Halving(predictor, self._size(artifact), allowed=self.method.SEES == "sample")
        tables, kept = [], []
        batches = predict_batches(guard, map(shifted, read) if shifted else read)
        for number, (batch, outputs) in zip(numbers, batches, strict=True):
            if number in drawn:
                tables.append(task.rows(batch, outputs, space, spec["outputs"]))
                kept.append(outputs)
        return self._written(artifact, pa.concat_tables(tables), kept) if tables else None

    def _size(self, artifact: Artifact) -> int:
        """Batch size that the run really used."""
        return int(self.task["sizes"].get(artifact.ref.name) or artifact.recipe["batch_size"])

    def _written(self, artifact: Artifact, table: pa.Table, outputs: list[Outputs]) -> Answer:
        """Write rows and, if the model gives them, features; gives their files."""
        stem = recipe.fingerprint(artifact.recipe)
        files = {"name": artifact.ref.name, "rows": str(self.out / f"{stem}.parquet")}
        schema.write(table, Path(files["rows"]), artifact.fingerprint)
        for part in ("features", "logits"):
            if all(part in one for one in outputs):
                files[part] = str(self.out / f"{stem}.{part}.npy")
                np.save(files[part], np.concatenate([one[part] for one in outputs]))
        return files

    # ------------------------------------------------------------------ batch size, device, caches

    def _sensitivity(self, predictor: Predictor, artifact: Artifact) -> dict[str, Any] | None:
        if self.method.SEES != "sample":
            return None
        other = "cpu" if self.device != "cpu" else "cuda" if torch.cuda.is_available() else None
        elsewhere = (lambda: self._predictor(other, artifact)) if other else None
        folder = evaluate._folder(self.run, artifact)
        return batch_sensitivity.measure(predictor, folder, self._size(artifact), elsewhere)

    def _caching(self, predictor: Any, artifact: Artifact) -> dict[str, Any]:
        """Calls and seconds of repeated batches of a condition; `size` 0: there are too few samples."""
        folder = evaluate._folder(self.run, artifact)
        entries, batches = shards.index(folder), _ROUNDS + 1
        size = min(artifact.recipe["batch_size"], _LARGEST, len(entries) // batches)
        if not size:
            return {"size": 0}
        samples = list(pick(folder, entries[: size * batches]))
        reset = predictor.reset if self.adapts else lambda: None
        measured = repeated_batches(predictor, samples, size, reset)
        return {**measured, "net": isinstance(predictor, nets.TorchPredictor)}


def repeated_batches(
    predictor: Predictor, samples: Sequence[Sample], size: int, reset: Callable[[], None]
) -> dict[str, Any]:
    """Calls of torch modules and seconds, for new batches and for the same batches again.

    A batch is compared with itself, since a decoder makes more calls for a longer answer. The first batch is a
    warm-up. `reset` is called before each batch, so that each batch has the same state.
    """
    first, *new = [samples[at : at + size] for at in range(0, len(samples), size)]
    calls: dict[str, list[int]] = {"new": [], "repeated": []}
    seconds: dict[str, list[float]] = {"new": [], "repeated": []}
    with _counted_modules() as count:

        def predict(batch: Sequence[Sample]) -> tuple[int, float]:
            reset()
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


if __name__ == "__main__":
    serve(make)
