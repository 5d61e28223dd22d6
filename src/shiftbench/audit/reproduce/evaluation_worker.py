"""Batches evaluated again, in a separate process: `python -m shiftbench.audit.reproduce.evaluation_worker SPEC`.

Each (model, method) runs in a fork that has computed nothing before. It measures whether repeated batches are computed,
predicts the drawn batches, and measures how far outputs move with batch size and device. Rows
and features go to files next to the answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from shiftbench.audit.reproduce import probes
from shiftbench.audit.reproduce.worker import Answer, Task, pick, run_in_fork, serve, watch
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
    """An evaluation job that runs again, set up as in `evaluate.run`."""

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
        """Load the checkpoint and wrap the method around the model."""
        first = self.run.job.artifacts[0]
        checkpoint, inputs = self.run.path(first.inputs[0]), self.run.inputs(first)
        device = device or self.device
        plain = predictors.load(first.recipe, checkpoint, self.classes, device, inputs)
        wrapped: Predictor = self.method.wrap(plain, first.recipe["method"]["options"], inputs)
        return wrapped

    def forget(self, predictor: Any) -> Callable[[], None]:
        """A function that resets a method that adapts; for other methods it does nothing."""
        reset: Callable[[], None] = predictor.reset if self.adapts else lambda: None
        return reset

    @property
    def adapts(self) -> bool:
        """Whether the method carries state along a stream."""
        return bool(self.method.SEES == "stream")

    @property
    def other_device(self) -> str | None:
        """A second device for comparison; None: there is none."""
        if self.device != "cpu":
            return "cpu"
        return "cuda" if torch.cuda.is_available() else None


def make(task: Task, out: Path) -> Answer:
    """Do all measurements of level 3 for one (model, method).

    Args:
        task: `recipe`, `device`, `batches` (name of records -> numbers of batches), `sizes` (name of records -> batch
            size really used), `first` (name of the records whose data are used for measurements).
        out: a folder for rows and features.
    """
    visit = Visit.of(task)
    artifacts = {artifact.ref.name: artifact for artifact in visit.run.job.artifacts}
    first = artifacts[task["first"]]
    with watch(visit.run) as undeclared:
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
    """Conditions to evaluate, in the order of the run; for a method that adapts, all up to the last drawn one."""
    jobs = list(visit.run.job.artifacts)
    order = [artifacts[0] for artifacts in evaluate._conditions(visit.run, jobs, visit.method)]
    drawn = [artifact.ref.name in task["batches"] for artifact in order]
    if not visit.adapts:
        return list(itertools.compress(order, drawn))
    return order[: len(drawn) - drawn[::-1].index(True)] if any(drawn) else []


def _visit(
    visit: Visit, walk: StreamRunner, predictor: Predictor, artifact: Artifact, task: Task, out: Path
) -> Answer | None:
    """Predict the drawn batches of a condition (all batches if the method adapts), and write the drawn rows."""
    spec, folder = artifact.recipe, evaluate._folder(visit.run, artifact)
    walk.enter(artifact, folder)
    evaluate.place(predictor, visit.run, artifact)
    drawn = set(task["batches"].get(artifact.ref.name, ()))
    size = task["sizes"].get(artifact.ref.name) or spec["batch_size"]
    again = _Batches(visit, predictor, artifact, size)
    entries = shards.index(folder)
    tables, features = [], []
    for number in range(-(-len(entries) // spec["batch_size"])):
        if number not in drawn and not visit.adapts:
            continue
        piece = entries[number * spec["batch_size"] : (number + 1) * spec["batch_size"]]
        table, outputs = again(list(pick(folder, piece)))
        if number in drawn:
            tables.append(table)
            features.append(outputs)
    if not tables:
        return None
    return _written(out, artifact, pa.concat_tables(tables), features)


class _Batches:
    """Turns batches of one condition into rows, as `evaluate.evaluate_shards` does."""

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
            self._shift = onthefly.build_shifter(artifact.recipe, about["dataset"], inputs, visit.device)

    def __call__(self, batch: list[Sample]) -> tuple[pa.Table, Outputs]:
        """Rows and the outputs of one batch."""
        shifted = self._shift(batch) if self._shift else batch
        outputs = self._guard(shifted, self._prepare(shifted) if self._prepare else None)
        return self._task.rows(shifted, outputs, self._space, self._mode), outputs


def _written(out: Path, artifact: Artifact, table: pa.Table, outputs: list[Outputs]) -> Answer:
    """Write rows and, if the model gives them, features; gives their files."""
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
    there = (lambda: _predictor_on(visit, other, artifact)) if other else None
    return batch_sensitivity.measure(predictor, folder, size, there)


def _predictor_on(visit: Visit, device: str, artifact: Artifact) -> Predictor:
    predictor = visit.predictor(device)
    evaluate.place(predictor, visit.run, artifact)
    return predictor


# ------------------------------------------------------------------ caches


def caching(visit: Visit, predictor: Predictor, artifact: Artifact) -> dict[str, Any]:
    """Result of `probes.repeated_batches` on the first samples of a condition; `size` 0: there are too few samples."""
    folder = evaluate._folder(visit.run, artifact)
    entries = shards.index(folder)
    batches = probes.ROUNDS + 1
    size = min(artifact.recipe["batch_size"], LARGEST, len(entries) // batches)
    if not size:
        return {"size": 0}
    samples = list(pick(folder, entries[: size * batches]))
    measured = probes.repeated_batches(predictor, samples, size, visit.forget(predictor))
    return {**measured, "net": isinstance(predictor, nets.TorchPredictor)}


if __name__ == "__main__":
    serve(lambda tasks, out, _: [run_in_fork(make, task, out) for task in tasks])
