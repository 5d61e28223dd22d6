"""`shiftbench detect`: OOD scores of your own images, compared with those of ID samples.

Each score is reported with the share of ID samples that score lower, and with the threshold that 95% of them do not
exceed (as in `fpr95_idpos`), so that 5% of ID samples are called OOD, too. Detectors are fitted on the records and
features of a run, as in the score stage, with the options that a search chose if there is one. Images are evaluated as
in the evaluate stage, in memory, without a method around the model.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.progress import track
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import formats, schema
from shiftbench.evaluation import batching, devices, nets, predictors
from shiftbench.plugins.detectors._net import Net
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.tasks import LabelSpace
from shiftbench.provenance import recipe
from shiftbench.provenance.recipe import Artifact, Run
from shiftbench.workflow.plan.conditions import Conditions
from shiftbench.workflow.plan.plan import Plan
from shiftbench.workflow.stages.detector_context import DetectorContext
from shiftbench.workflow.stages.score import chosen_options, scored
from shiftbench.workflow.tools.preview import own_image

Floats = NDArray[np.float64]

DEFAULT = ("msp", "energy", "knn", "mds")
METHOD = "plain"  # no method around the model
ACCEPTED = 0.95  # share of ID samples up to the threshold
UNUSUAL = 0.9

IN_DISTRIBUTION = "similar to the training data"
FLAGGED = "out-of-distribution: above the threshold that 95% of ID samples stay below"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one detector on one image.

    Attributes:
        detector: its name in params.
        score: higher = more OOD, in the detector's own unit.
        share: share of ID samples with a lower score, 0 to 1.
        threshold: the lowest ID score that at least 95% of the ID samples do not exceed.
        split, n: the ID samples.
        options: options of the detector.
        searched: whether a search chose some of them; None: no search is planned.
    """

    detector: str
    score: float
    share: float
    threshold: float
    split: str
    n: int
    options: dict[str, Any]
    searched: bool | None

    @property
    def ood(self) -> bool:
        """Whether the score exceeds the threshold."""
        return self.score > self.threshold

    @property
    def verdict(self) -> str:
        """The finding in words."""
        if self.ood:
            return FLAGGED
        unusual = f"unusual: higher than {self.share:.1%} of {self.n:,} ID samples"
        return unusual if self.share >= UNUSUAL else IN_DISTRIBUTION


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction of a model and the results of its detectors on one image.

    Attributes:
        file: of the image.
        prediction: the most probable class.
        probability: its softmax, 0 to 1.
        findings: one per detector, in their order.
    """

    file: Path
    prediction: str
    probability: float
    findings: tuple[Finding, ...]

    @property
    def summary(self) -> str:
        """One sentence."""
        flags, count = sum(finding.ood for finding in self.findings), len(self.findings)
        call = f"{flags} of {count} {'detector calls' if count == 1 else 'detectors call'} it out-of-distribution"
        return f"{call}; the model predicts {self.prediction!r} with {self.probability:.1%}."


def detect(
    planned: Plan, root: Path, model: str, files: Sequence[Path], names: Sequence[str] = (), device: str = "auto"
) -> list[Answer]:
    """Score images by OOD detectors.

    Args:
        planned: the plan of the run that made the model.
        root: its output root.
        model: `fashion_mnist/convnet-erm-s0`; its checkpoint exists.
        files: images, grey or colour, of any size, in the formats that image folders may have.
        names: detectors, as in params; default: those of the benchmarks with this model that need no second pass,
            else `DEFAULT`.
        device: device of the model.

    Returns:
        One answer per file, in their order.

    Raises:
        DataError: a file is no image, or records or features of the run are missing; names the command that makes them.
        ParamsError: the model reads no images, or no such detector.
    """
    _require_images(planned, model)
    samples = [own_image(file) for file in files]
    planned_refs = frozenset(planned.artifacts)
    detectors = list(dict.fromkeys(names)) or default(planned, model)
    artifacts = {name: _scores(planned, root, model, name, planned_refs) for name in detectors}
    run = _Outputs(root)
    classes = nets.classes_of(root / Ref("checkpoints", model).path)
    with devices.hold(device) as used_device:
        images = _evaluate(planned, run, model, samples, used_device)
        context = DetectorContext(run, used_device)
        findings_by_detector = [
            _findings(context, name, artifact, images, samples)
            for name, artifact in track(list(artifacts.items()), "detectors")
        ]
    probabilities = images.table.column("confidence_e9").to_numpy() / formats.E9
    return [
        Answer(file, classes[index], float(probability), tuple(findings))
        for file, index, probability, *findings in zip(
            files, images.predictions, probabilities, *findings_by_detector, strict=True
        )
    ]


def default(planned: Plan, model: str) -> list[str]:
    """The detectors of the benchmarks with this model that need no second pass."""
    conditions, checkpoint = Conditions(planned.params), Ref("checkpoints", model)
    requested = [
        name
        for benchmark in planned.params.benchmarks.values()
        if checkpoint in conditions.checkpoints(benchmark)
        for name in benchmark.detectors
    ]
    without_second_pass = [
        name
        for name in dict.fromkeys(requested)
        if "net" not in registry.find("detectors", planned.params.use("detectors", name)).NEEDS
    ]
    return without_second_pass or list(DEFAULT)


class _Outputs(Run):
    """The outputs of a run, without a job at work."""

    def __init__(self, root: Path) -> None:
        self.root = root


class _NetOnSamples(Net):
    """A model with samples in memory instead of shards."""

    def __init__(self, net: Net, samples: list[Sample]) -> None:
        super().__init__(net.predictor, net.folder, net.batch_size)
        self.samples = samples

    def batches(self) -> Iterator[torch.Tensor]:
        """Yield the model's input in the order of the samples; see `Net.batches`."""
        for batch in batching.batches(self.samples, self.batch_size):
            prepared = self.predictor.prepare(batch)
            yield torch.from_numpy(prepared).to(self.predictor.device).float()


def _require_images(planned: Plan, model: str) -> None:
    dataset, _, _ = model.partition("/")
    task = registry.find("datasets", planned.params.use("datasets", dataset)).TASK
    if "image" not in registry.find("tasks", task).FIELDS:
        raise ParamsError(f"{model} was trained on {dataset}, whose task {task} has no images; name a model of images")


# ---------------------------------------------------------------------- the stored outputs of a run


def _scores(planned: Plan, root: Path, model: str, name: str, planned_refs: frozenset[Ref]) -> Artifact:
    """The planned scores of a detector on the first ID split, test or val, whose inputs are all here.

    Raises:
        DataError: an input is missing; names the command that makes it.
    """
    missing_by_split: list[list[Ref]] = []
    for split in ("test", "val"):
        artifact = _planned_scores(planned, model, name, split)
        missing = [ref for ref in artifact.inputs if _is_missing(root, planned.artifacts[ref])]
        if not missing:
            return artifact
        missing_by_split.append(missing)
    fewest = min(missing_by_split, key=lambda missing: len(set(missing) - planned_refs))
    rest = f" and {len(fewest) - 1} more" if len(fewest) > 1 else ""
    raise DataError(
        f"{name} on {model} needs {root / fewest[0].path}{rest}, missing or made from other inputs; "
        + _advice(planned, root, name, fewest, planned_refs)
    )


def _is_missing(root: Path, artifact: Artifact) -> bool:
    """Whether an input is missing, or belongs to another model or other samples; a search may be missing."""
    if artifact.ref.kind in ("searches", "checkpoints"):
        return False
    state = recipe.status(root, artifact)
    return not state.startswith(("fresh", "recipe changed"))


def _planned_scores(planned: Plan, model: str, name: str, split: str) -> Artifact:
    dataset, _, _ = model.partition("/")
    condition = f"{model}/{METHOD}/{name}/{dataset}/{split}/identity/0"
    return planned.artifacts[planned.add(Ref("scores", condition))]


def _advice(planned: Plan, root: Path, name: str, missing: list[Ref], planned_refs: frozenset[Ref]) -> str:
    """The command that makes missing inputs; a run of the benchmark does not make features."""
    unplanned = [ref for ref in missing if ref not in planned_refs]
    if unplanned:
        kind, split = unplanned[0].kind, unplanned[0].parts[-3]
        return (
            f"no benchmark makes {kind} of {split}: name {name} under the `detectors:` of a benchmark with this "
            f"model, or {split} under its `features:`, and run it"
        )
    files = [  # one of each job, which makes the other outputs, too
        next(root / artifact.ref.path for artifact in job.artifacts if artifact.ref in missing)
        for job in planned.jobs.values()
        if any(artifact.ref in missing for artifact in job.artifacts)
    ]
    config = ["--config", planned.config] if planned.config and not planned.params.system else []
    return f"`{shlex.join(['shiftbench', 'make', *map(str, files), *config])}` makes that"


# ---------------------------------------------------------------------- the images


def _evaluate(planned: Plan, run: Run, model: str, samples: list[Sample], device: str) -> Rows:
    """Records, logits and features of images without labels."""
    dataset, _, _ = model.partition("/")
    ref = Ref("records", f"{model}/{METHOD}/{dataset}/test/identity/0")
    artifact = planned.artifacts[planned.add(ref)]
    file = run.path(Ref("checkpoints", model))
    classes = nets.classes_of(file)
    predictor = predictors.load(artifact.recipe, file, classes, device, run.inputs(artifact))
    guard = batching.Halving(predictor, artifact.recipe["batch_size"], allowed=True)
    parts = [guard(batch) for batch in batching.batches(samples, artifact.recipe["batch_size"])]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    task = registry.find("datasets", planned.params.use("datasets", dataset)).TASK
    unlabelled = [sample.with_field("label", 0) for sample in samples]
    space = LabelSpace(tuple(classes), ("none of the model's",))
    table = registry.find("tasks", task).rows(unlabelled, outputs, space, "full")
    return Rows(table, outputs.get("features"), outputs["logits"], name="images")


def _findings(
    context: DetectorContext, name: str, artifact: Artifact, images: Rows, samples: list[Sample]
) -> list[Finding]:
    """The results of one detector on each image."""
    detector = registry.find("detectors", artifact.recipe["detector"]["use"])
    search = Ref("searches", artifact.recipe["search"]) if "search" in artifact.recipe else None
    searched = context.run.path(search).is_file() if search else None
    options = {**registry.defaults(detector), **artifact.recipe["detector"]["options"]}
    options |= chosen_options(context.run, artifact) if searched else {}
    state = context.fitted(artifact, detector, options)
    clean = context.rows(artifact, artifact.recipe["rows"])
    net = _NetOnSamples(clean.again, samples) if clean.again else None
    rows = Rows(images.table, images.beside, images.kept_logits, clean.linear, net, images.name)
    scores = scored(detector, options, rows, state).column("score").to_numpy()
    if searched is not False and recipe.status(context.run.root, artifact) == "fresh":
        table = schema.read(context.run.path(artifact.ref), form=formats.SCORES)
    else:
        table = scored(detector, options, clean, state)
    id_scores = table.column("score").to_numpy()
    split = artifact.ref.parts[-3]
    return [Finding(name, *rank_score(score, id_scores), split, len(id_scores), options, searched) for score in scores]


def rank_score(score: float, id_scores: Floats) -> tuple[float, float, float]:
    """The score, the share of known scores below it, and the threshold that 95% of them do not exceed.

    Example:
        >>> rank_score(3.0, np.array([1.0, 2.0, 3.0, 4.0]))
        (3.0, 0.5, 4.0)
    """
    threshold = np.quantile(id_scores, ACCEPTED, method="inverted_cdf")
    return float(score), float(np.mean(id_scores < score)), float(threshold)
