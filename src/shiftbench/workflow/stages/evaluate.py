"""Stage evaluate: model x method x stream -> one record per sample, and features.

One process loads the model once and evaluates every stale condition. A second thread reads, checks and prepares
samples while the model computes. Order and batches do not depend on it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.files import scratch
from shiftbench.base.progress import track
from shiftbench.base.refs import RecordsName, Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards
from shiftbench.evaluation import batch_sensitivity, devices, nets, predictors
from shiftbench.evaluation.batching import Halving, Outputs, Predictor, batches, predict_batches
from shiftbench.evaluation.feature_writer import FeatureWriter
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.stages.stream_runner import StreamRunner
from shiftbench.workflow.storage import streaming

Transform = Callable[[list[Sample]], list[Sample]]
Keep = Callable[[Outputs], None]


class OnTheFly(Protocol):
    """A shift that is applied while samples are read (`onthefly.OnTheFly`); its code counts only in such records."""

    counts: dict[str, int]

    def __call__(self, batch: list[Sample]) -> list[Sample]:
        """Return the shifted samples."""

    def digest(self) -> str:
        """The chained pixel digest of all shifted samples."""


MakeOnTheFly = Callable[[Mapping[str, Any], str, Mapping[Ref, Path], str], OnTheFly]
"""(recipe of the records, dataset, inputs, device) -> the shift of their samples."""


def run(run: Run, todo: list[Artifact], device: str, on_the_fly: MakeOnTheFly) -> None:
    """Evaluate one model and method on every stale condition.

    Args:
        run: the job.
        todo: its stale artifacts.
        device: the device to use.
        on_the_fly: makes the shift that is applied while reading, if a recipe has one.
    """
    first = run.job.artifacts[0]
    checkpoint = run.path(first.inputs[0])
    classes = nets.classes_of(checkpoint)
    method = registry.find("methods", first.recipe["method"]["use"])
    with devices.hold(device) as used_device:
        predictor = predictors.load(first.recipe, checkpoint, classes, used_device, run.inputs(first))
        adapted_model = method.wrap(predictor, first.recipe["method"]["options"], run.inputs(first))
        place(adapted_model, run, todo[0])
        run.note(
            device=used_device, sensitivity=_sensitivity(run, todo[0], adapted_model, method, classes, used_device)
        )
        stream_runner = StreamRunner(run, method, adapted_model, classes)
        for artifacts in track(list(_conditions(run, todo, method)), run.job.name):
            stream_runner.enter(artifacts[0], _folder(run, artifacts[0]))
            shifted = _shifted(run, artifacts[0], used_device, on_the_fly)
            _evaluate_condition(run, artifacts, adapted_model, classes, method, shifted)


def _sensitivity(
    run: Run, artifact: Artifact, predictor: Predictor, method: ModuleType, classes: list[str], device: str
) -> dict[str, Any] | None:
    """How far outputs change with batch size and device; None if the method does not treat samples independently."""
    if method.SEES != "sample":
        return None
    spec, inputs = artifact.recipe, run.inputs(artifact)

    def on_cpu() -> Predictor:
        plain = predictors.load(spec, run.path(artifact.inputs[0]), classes, "cpu", inputs)
        wrapped: Predictor = method.wrap(plain, spec["method"]["options"], inputs)
        place(wrapped, run, artifact)
        return wrapped

    make_cpu_predictor = on_cpu if device != "cpu" else None
    return batch_sensitivity.measure(predictor, _folder(run, artifact), spec["batch_size"], make_cpu_predictor)


def place(predictor: Predictor, run: Run, artifact: Artifact) -> None:
    """Give the inputs of a condition to a predictor that reads them (`at`)."""
    if hasattr(predictor, "at"):
        predictor.at(run.inputs(artifact))


def _folder(run: Run, artifact: Artifact) -> Path:
    """The shards that an artifact reads."""
    name = artifact.recipe["data"]
    return next(run.path(r).parent for r in artifact.inputs if r.kind == "shards" and r.name == name)


def _conditions(run: Run, todo: list[Artifact], method: ModuleType) -> Iterator[list[Artifact]]:
    """Yield the records and features of each condition; an adapting method goes through a whole stream."""
    by_name: dict[str, list[Artifact]] = {}
    stale_names = {artifact.ref.name for artifact in todo}
    streams = {RecordsName.of(artifact.ref).stream for artifact in todo}
    for artifact in run.job.artifacts:
        is_in_stream = method.SEES == "stream" and RecordsName.of(artifact.ref).stream in streams
        if artifact.ref.name in stale_names or is_in_stream:
            by_name.setdefault(artifact.ref.name, []).append(artifact)
    yield from by_name.values()


def _evaluate_condition(
    run: Run,
    artifacts: list[Artifact],
    predictor: Predictor,
    classes: list[str],
    method: ModuleType,
    shifted: OnTheFly | None,
) -> None:
    spec = artifacts[0].recipe
    folder = _folder(run, artifacts[0])
    place(predictor, run, artifacts[0])
    with ExitStack() as stack:
        feature_writer = _feature_writer(run, artifacts, folder, stack)
        table, _, batch = evaluate_shards(
            predictor,
            folder,
            classes,
            spec["batch_size"],
            spec["outputs"],
            method.SEES,
            transform=shifted,
            keep=feature_writer,
        )
        run.note(batch_size=batch, shifted_on=shifted.counts if shifted else None)
        facts = {"pixels": shifted.digest() if shifted else shards.manifest(folder)["pixels"]}
        for artifact in artifacts:
            if recipe.status(run.root, artifact) == "fresh":
                continue  # the method sees the whole stream, but only stale outputs are written
            if artifact.ref.kind == "records":
                _write_records(run, artifact, table, facts)
            elif feature_writer:
                run.commit(artifact, feature_writer.files(artifact.ref.path), facts)


def _feature_writer(run: Run, artifacts: list[Artifact], folder: Path, stack: ExitStack) -> FeatureWriter | None:
    """The writer of features and logits, if they are among the artifacts."""
    outputs = [run.path(artifact.ref) for artifact in artifacts if artifact.ref.kind == "features"]
    if not outputs:
        return None
    count = shards.manifest(folder)["samples"]
    return stack.enter_context(FeatureWriter(outputs[0], count))


def _shifted(run: Run, artifact: Artifact, device: str, make: MakeOnTheFly) -> OnTheFly | None:
    """The shift of the clean samples of a condition while reading; None if the shifted samples are stored."""
    if "shift" not in artifact.recipe:
        return None
    dataset = shards.manifest(_folder(run, artifact))["dataset"]
    return make(artifact.recipe, dataset, run.inputs(artifact), device)


def _write_records(run: Run, artifact: Artifact, table: pa.Table, facts: dict[str, Any]) -> None:
    output = run.path(artifact.ref)
    with scratch(output) as temporary:
        schema.write(table, temporary, artifact.fingerprint)
        run.commit(artifact, {output.name: temporary}, facts)


def evaluate_shards(  # noqa: PLR0913 - the parameters of an evaluation in a notebook, each with its default
    predictor: Predictor,
    folder: Path,
    classes: list[str],
    batch_size: int,
    outputs_mode: str = "full",
    sees: str = "sample",
    transform: Transform | None = None,
    keep: Keep | None = None,
) -> tuple[pa.Table, np.ndarray | None, int]:
    """Evaluate a predictor on one folder of shards.

    Args:
        predictor: samples -> outputs of the task (`logits` float32 (n, C), `features` float32 (n, d)).
        folder: shards.
        classes: the model's C class names, in the order of its logits.
        batch_size: samples per call; halved on GPU memory exhaustion when `sees` is `sample`.
        outputs_mode: `full` or `top20`.
        sees: `SEES` of the method; only independent samples may be split into smaller batches.
        transform: applied to each batch of samples, in key order.
        keep: called with the outputs of each batch; features are then not returned.

    Returns:
        Records sorted by key; features (n, d) in the same order, or None; the actual batch size.

    Raises:
        ModelError: NaN or a wrong number of outputs; the message names the sample.
        ChecksumError: damaged shards.
    """
    about = shards.manifest(folder)
    task = registry.find("tasks", about["task"])
    space = LabelSpace(tuple(classes), tuple(about["classes"]))
    tables: list[pa.Table] = [task.schema(len(classes), outputs_mode).empty_table()]
    features: list[np.ndarray] = []
    guard = Halving(predictor, batch_size, allowed=sees == "sample")
    read: Iterable[list[Sample]] = batches(shards.read(folder), batch_size)
    for batch, outputs in predict_batches(guard, map(transform, read) if transform else read):
        tables.append(task.rows(batch, outputs, space, outputs_mode))
        if keep:
            keep(outputs)
        elif "features" in outputs:
            features.append(outputs["features"].astype(np.float32, copy=False))
    return pa.concat_tables(tables), np.concatenate(features) if features else None, guard.size


def evaluate(
    model: Any, suite: Path | str | Iterable[Path | str], classes: list[str] | None = None, batch_size: int = 256
) -> Any:
    """Evaluate a model on folders of shards, without the workflow; `shiftbench.evaluate` also prints its input.

    Args:
        model: a torch module (float32 (n, c, h, w) in [0, 1] -> logits), or a callable on a list of
            `Sample` that returns logits (n, C) or a dict of outputs.
        suite: a folder of shards, or several; also URLs (`s3://bucket/folder`, `https://host/folder`),
            whose tars are read when needed, and not stored.
        classes: the model's class names in the order of its logits; default: the dataset's.
        batch_size: samples per call.

    Returns:
        A Polars frame: dataset, split, shift, severity, n, accuracy, and 95% interval (Wilson).

    Raises:
        ParamsError: shards of a task whose answers are not simply right or wrong.

    Example, over all shifts of a dataset::

        evaluate(net, Path("data/shards/fashion_mnist/test").glob("*/*"))
    """
    import polars as pl

    places = [suite] if isinstance(suite, str | Path) else sorted(suite, key=Path)
    predictor = as_predictor(model)
    rows = []
    for place in places:
        with streaming.opened(place) as folder:
            about = shards.manifest(folder)
            names = classes if classes is not None else about["classes"]
            if "correct" not in registry.find("tasks", about["task"]).schema(0, "full").names:
                raise ParamsError(f"{place}: {about['task']} has no accuracy; run a benchmark")
            table, _, _ = evaluate_shards(predictor, folder, names, batch_size)
        rows.append({key: about[key] for key in ("dataset", "split", "shift", "severity")} | _accuracy(table))
    return pl.DataFrame(rows)


def _accuracy(table: pa.Table) -> dict[str, Any]:
    correct = table.column("correct").drop_null().to_numpy()
    n, hits = len(correct), int(correct.sum())
    if n == 0:
        return {"n": 0, "accuracy": None, "ci_low": None, "ci_high": None}
    from scipy.stats import binomtest  # half a second, which evaluation by recipe does not need

    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return {"n": n, "accuracy": hits / n, "ci_low": interval.low, "ci_high": interval.high}


def as_predictor(model: Any) -> Predictor:
    """A predictor from a torch module (images in [0, 1]) or from a callable on samples."""
    if not isinstance(model, torch.nn.Module):
        return lambda samples: out if isinstance(out := model(samples), dict) else {"logits": np.asarray(out)}

    def predict(samples: list[Sample]) -> Outputs:
        images = np.stack([np.atleast_3d(sample.fields["image"]) for sample in samples])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            return {"logits": model.eval()(batch).float().cpu().numpy()}

    return predict
