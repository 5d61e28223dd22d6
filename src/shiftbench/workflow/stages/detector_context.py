"""Stage score: the data that the detectors of one job share, each read, fitted or loaded once."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.data import schema
from shiftbench.plugins.detectors._rows import Head, Known, Rows
from shiftbench.provenance import recipe as recipes
from shiftbench.provenance.recipe import Artifact, Run

if TYPE_CHECKING:
    from shiftbench.plugins.detectors._net import Net

PROBE = 256  # rows on which the head must give the logits
TOLERANCE = 0.02  # relative to the largest logit + 1: four times what a head in bfloat16 is off (0.005, measured)


class DetectorContext:
    """Rows and fitted detectors of one model and method.

    Args:
        run: the job.
        device: for detectors with a second pass through the model.
    """

    def __init__(self, run: Run, device: str = "auto") -> None:
        self.run, self.device = run, device
        self._rows: dict[tuple[str, frozenset[str]], Rows] = {}
        self._heads: dict[Ref, Head | None] = {}
        self._states: dict[str, Any] = {}
        self._predictors: dict[Ref, Any] = {}
        self._nets: dict[str, Net | None] = {}

    @property
    def seen_again(self) -> int:
        """Number of images with a second pass through the model, for gradients or inner layers."""
        return sum(net.seen for net in self._nets.values() if net)

    def rows(self, artifact: Artifact, name: str) -> Rows:
        """The rows of the records `name`, with the features, logits and head among the artifact's inputs."""
        records = Ref("records", name)
        features_ref = Ref("features", name)
        kinds = frozenset(ref.kind for ref in artifact.inputs if ref in (features_ref, *_checkpoints(artifact)))
        if (name, kinds) not in self._rows:
            features, logits = self._beside(features_ref) if features_ref in artifact.inputs else (None, None)
            table = schema.read(self.run.path(records))
            rows = Rows(table, features, logits, name=records.path)
            self._rows[name, kinds] = self._with_head(artifact, rows)
        loaded_rows = self._rows[name, kinds]
        return self._with_net(artifact, loaded_rows, name) if "data" in artifact.recipe else loaded_rows

    def fitted(self, artifact: Artifact, detector: ModuleType, options: dict[str, Any]) -> Any:
        """The state of a detector fitted with these options; fits it at the first call."""
        names = getattr(detector, "FIT_PARAMS", tuple(options))
        used = {name: options[name] for name in names}
        key = recipes.canonical([artifact.recipe["detector"]["name"], artifact.recipe["fit"], used])
        if key not in self._states:
            splits = {split: self.rows(artifact, name) for split, name in artifact.recipe["fit"].items()}
            self._states[key] = detector.fit(Known(splits), options)
        return self._states[key]

    def _beside(self, kept: Ref) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        file = self.run.path(kept)
        logits = file.with_name(f"{file.stem}.logits.npy")
        return np.load(file, mmap_mode="r"), np.load(logits, mmap_mode="r")

    # ------------------------------------------------------------------ the net's head

    def _with_head(self, artifact: Artifact, rows: Rows) -> Rows:
        checkpoints = _checkpoints(artifact)
        if not checkpoints or rows.beside is None:
            return rows
        if checkpoints[0] not in self._heads:
            self._heads[checkpoints[0]] = self._head(checkpoints[0])
        head = self._heads[checkpoints[0]]
        if head:
            check_head(head, rows)
        return Rows(rows.table, rows.beside, rows.kept_logits, head, name=rows.name)

    def _head(self, weights: Ref) -> Head | None:
        try:
            state = load_file(self.run.path(weights))
        except SafetensorError as error:
            raise ModelError(f"{weights.path} is no readable safetensors file: {error}") from None
        if not {"head.weight", "head.bias"} <= state.keys():
            return None
        return Head(*(state[f"head.{part}"].astype(np.float64) for part in ("weight", "bias")))

    # ------------------------------------------------------------------ the net again

    def _with_net(self, artifact: Artifact, rows: Rows, name: str) -> Rows:
        if name not in self._nets:  # one net for all detectors, which may cache its outputs
            self._nets[name] = self._net(artifact, name)
        net = self._nets[name]
        return Rows(rows.table, rows.beside, rows.kept_logits, rows.linear, net, rows.name)

    def _net(self, artifact: Artifact, name: str) -> Net | None:
        """The model with the samples of the records `name`; None for a black box."""
        from shiftbench.plugins.detectors._net import Net  # imports torch

        predictor = self._predictor(artifact)
        folder = next(
            self.run.path(ref).parent
            for ref in artifact.inputs
            if ref.kind == "shards" and ref.name == artifact.recipe["data"][name]
        )
        return Net(predictor, folder, artifact.recipe["batch_size"], None) if predictor else None

    def _predictor(self, artifact: Artifact) -> Any:
        """The model of the artifact's checkpoint; None for a black box."""
        from shiftbench.evaluation import nets, predictors  # imports torch

        (checkpoint,) = _checkpoints(artifact)
        if checkpoint not in self._predictors:
            file = self.run.path(checkpoint)
            predictor = predictors.load(
                artifact.recipe, file, nets.classes_of(file), self.device, self.run.inputs(artifact)
            )
            self._predictors[checkpoint] = predictor if isinstance(predictor, nets.TorchPredictor) else None
        return self._predictors[checkpoint]


def _checkpoints(artifact: Artifact) -> list[Ref]:
    return [ref for ref in artifact.inputs if ref.kind == "checkpoints"]


def check_head(head: Head, rows: Rows) -> None:
    """Refuse a head that is not the linear layer behind the logits: a normalised one, or one with several layers.

    Raises:
        ModelError: the shape differs from that of features and logits, or the logits differ; names the sample.
    """
    part = next(rows.blocks(PROBE), None)
    if part is None:
        return
    shape = (part.logits.shape[1], part.features.shape[1])
    if head.weight.shape != shape or head.bias.shape != shape[:1]:
        raise ModelError(
            f"{rows.name}: expected a head of shape {shape} (classes, features), found {head.weight.shape} with a bias "
            f"of {head.bias.shape}; evaluate with the weights whose records these are"
        )
    off = np.abs(head(part.features.astype(np.float64)) - part.logits).max(axis=1)
    scale = np.abs(part.logits).max(axis=1) + 1
    if (off > TOLERANCE * scale).any():
        at = int(np.argmax(off / scale))
        raise ModelError(
            f"{rows.name}: the head's weights give other logits than the model for sample {part.keys[at]!r} (by "
            f"{off[at]:.3g}): it is no plain linear layer on these features; choose detectors that need no head"
        )
