"""Batches evaluated again, in a process of its own: `python -m shiftbench.audit.reproduce.evaluation_worker SPEC`.

Each (weights, method) is done in a fork that has computed nothing before. It measures whether batches are computed or
remembered, predicts the batches that were drawn, and measures how far outputs move with batch size and device. Rows
and features go to files beside the answers.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from shiftbench.audit.reproduce import probes
from shiftbench.audit.reproduce.worker import Answer, Make, Task, in_fork, pick, read_spec, watched, write_answers
from shiftbench.base import registry
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation import batch_sensitivity, nets, onthefly, predictors
from shiftbench.evaluation.batching import Halving, Outputs, Predictor
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.stages import evaluate
from shiftbench.workflow.stages.evaluate import OnTheFly
from shiftbench.workflow.stages.stream_runner import StreamRunner

LARGEST = 16  # samples of a batch that is repeated: whether it is remembered does not depend on its size


@dataclass
class Visit:
    """A job of evaluation at work again: what `evaluate.run` sets up."""

    run: Run
    method: ModuleType
    classes: list[str]
    device: str

    @classmethod
    def of(cls, task: Task) -> Visit:
        """Open the job that a task names."""
        run = Run(Path(task["recipe"]))
        first = run.job.artifacts[0]
        method = registry.find("methods", first.recipe["method"]["use"])
        classes = nets.classes_of(run.path(first.inputs[0]))
        wished = task["device"] if torch.cuda.is_available() else "cpu"
        return cls(run, method, classes, wished)

    def predictor(self, device: str | None = None) -> Predictor:
        """Load the weights and put the method around them."""
        first = self.run.job.artifacts[0]
        weights, inputs = self.run.path(first.inputs[0]), self.run.inputs(first)
        device = device or self.device
        plain = predictors.load(first.recipe, weights, self.classes, device, inputs)
        wrapped: Predictor = self.method.wrap(plain, first.recipe["method"]["options"], inputs)
        return wrapped

    def forget(self, predictor: Any) -> Callable[[], None]:
        """Return what brings a method that adapts back to its beginning; of another one, nothing."""
        reset: Callable[[], None] = predictor.reset if self.adapts else lambda: None
        return reset

    @property
    def adapts(self) -> bool:
        """Whether the method carries state along a stream."""
        return bool(self.method.SEES == "stream")

    @property
    def other_device(self) -> str | None:
        """Another device than the one that computes; None: there is none."""
        if self.device != "cpu":
            return "cpu"
        return "cuda" if torch.cuda.is_available() else None


def make(task: Task, out: Path) -> Answer:
    """Do all that level 3 asks of one (weights, method).

    Args:
        task: `recipe`, `device`, `batches` (name of records -> numbers of batches), `sizes` (name of records -> batch
            size really used), `first` (name of the records whose data serve the measurements).
        out: a folder for rows and features.
    """
    visit = Visit.of(task)
    artifacts = {artifact.ref.name: artifact for artifact in visit.run.job.artifacts}
    first = artifacts[task["first"]]
    with watched(visit.run) as undeclared:
        predictor = visit.predictor()
        evaluate.place(predictor, visit.run, first)
        remembered = caching(visit, predictor, first)
        walk = StreamRunner(visit.run, visit.method, predictor, visit.classes)
        visits = [_visit(visit, walk, predictor, artifact, task, out) for artifact in _walked(visit, task)]
        evaluate.place(predictor, visit.run, first)
        moved = _sensitivity(visit, predictor, first, task)
    return {
        "device": visit.device,
        "caching": remembered,
        "visits": [one for one in visits if one],
        "sensitivity": moved,
        "undeclared": undeclared(),
    }


# ------------------------------------------------------------------ batches again


def _walked(visit: Visit, task: Task) -> list[Artifact]:
    """Return the positions to see, in the order of the run: of a method that adapts, all up to the last one drawn."""
    jobs = list(visit.run.job.artifacts)
    order = [artifacts[0] for artifacts in evaluate._conditions(visit.run, jobs, visit.method)]
    drawn = [artifact.ref.name in task["batches"] for artifact in order]
    if not visit.adapts:
        return list(itertools.compress(order, drawn))
    return order[: len(drawn) - drawn[::-1].index(True)] if any(drawn) else []


def _visit(
    visit: Visit, walk: StreamRunner, predictor: Predictor, artifact: Artifact, task: Task, out: Path
) -> Answer | None:
    """Predict the drawn batches of a position, of a method that adapts all of them; write their rows."""
    spec, folder = artifact.recipe, evaluate._folder(visit.run, artifact)
    walk.enter(artifact, folder)
    evaluate.place(predictor, visit.run, artifact)
    wanted = set(task["batches"].get(artifact.ref.name, ()))
    size = task["sizes"].get(artifact.ref.name) or spec["batch_size"]
    again = _Batches(visit, predictor, artifact, size)
    entries = shards.index(folder)
    tables, features = [], []
    for number in range(-(-len(entries) // spec["batch_size"])):
        if number not in wanted and not visit.adapts:
            continue
        piece = entries[number * spec["batch_size"] : (number + 1) * spec["batch_size"]]
        table, outputs = again(list(pick(folder, piece)))
        if number in wanted:
            tables.append(table)
            features.append(outputs)
    if not tables:
        return None
    return _written(out, artifact, pa.concat_tables(tables), features)


class _Batches:
    """Turns batches of one position into rows, as `evaluate.evaluate_shards` does."""

    def __init__(self, visit: Visit, predictor: Predictor, artifact: Artifact, size: int) -> None:
        folder = evaluate._folder(visit.run, artifact)
        about = shards.manifest(folder)
        self._guard = Halving(predictor, size, allowed=visit.method.SEES == "sample")
        self._prepare = getattr(predictor, "prepare", None)
        self._space = LabelSpace(tuple(visit.classes), tuple(about["classes"]))
        self._task, self._mode = registry.find("tasks", about["task"]), artifact.recipe["outputs"]
        self._shift: OnTheFly | None = None
        if "shift" in artifact.recipe:
            inputs = visit.run.inputs(artifact)
            self._shift = onthefly.for_cell(artifact.recipe, about["dataset"], inputs, visit.device)

    def __call__(self, batch: list[Sample]) -> tuple[pa.Table, Outputs]:
        """Return the rows and the outputs of one batch."""
        shifted = self._shift(batch) if self._shift else batch
        outputs = self._guard(shifted, self._prepare(shifted) if self._prepare else None)
        return self._task.rows(shifted, outputs, self._space, self._mode), outputs


def _written(out: Path, artifact: Artifact, table: pa.Table, outputs: list[Outputs]) -> Answer:
    """Write rows and, where the net gives them, features; return where they lie."""
    stem = recipe.fingerprint(artifact.recipe)
    files = {"name": artifact.ref.name, "rows": str(out / f"{stem}.parquet")}
    schema.write(table, Path(files["rows"]), artifact.fingerprint)
    for part in ("features", "logits"):
        if all(part in one for one in outputs):
            files[part] = str(out / f"{stem}.{part}.npy")
            np.save(files[part], np.concatenate([one[part] for one in outputs]))
    return files


# ------------------------------------------------------------------ batch size and device


def _sensitivity(visit: Visit, predictor: Predictor, artifact: Artifact, task: Task) -> dict[str, Any] | None:
    if visit.method.SEES != "sample":
        return None
    folder, other = evaluate._folder(visit.run, artifact), visit.other_device
    size = task["sizes"].get(artifact.ref.name) or artifact.recipe["batch_size"]
    there = (lambda: _placed(visit, other, artifact)) if other else None
    return batch_sensitivity.measure(predictor, folder, size, there)


def _placed(visit: Visit, device: str, artifact: Artifact) -> Predictor:
    predictor = visit.predictor(device)
    evaluate.place(predictor, visit.run, artifact)
    return predictor


# ------------------------------------------------------------------ caches


def caching(visit: Visit, predictor: Predictor, artifact: Artifact) -> dict[str, Any]:
    """Return what `probes.repeated_batches` does of the first samples of a position; `size` 0: they are too few."""
    folder = evaluate._folder(visit.run, artifact)
    entries = shards.index(folder)
    batches = probes.ROUNDS + 1
    size = min(artifact.recipe["batch_size"], LARGEST, len(entries) // batches)
    if not size:
        return {"size": 0}
    samples = list(pick(folder, entries[: size * batches]))
    measured = probes.repeated_batches(predictor, samples, size, visit.forget(predictor))
    return {**measured, "net": isinstance(predictor, nets.TorchPredictor)}


def main(file: Path, do: Make = make) -> None:
    """Read a specification, write the answers beside it."""
    spec = read_spec(file)
    importlib.import_module("shiftbench.evaluation.onthefly")  # before the forks: it is slow to import
    write_answers(file, [in_fork(do, task, file.parent) for task in spec["tasks"]])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
