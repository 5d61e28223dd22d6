"""What plugins are given: the job of a trainer, and what an analysis measures with and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import schema, shards

if TYPE_CHECKING:
    from shiftbench.evaluation.nets import TorchPredictor

LogRow = tuple[int, str, float]


@dataclass(frozen=True)
class TrainJob:
    """Everything that one training depends on; `trainers/<trainer>.py` gets it and returns tensors.

    Attributes:
        dataset: name of the dataset that is learnt from.
        model: name of a plugin in `models/`.
        trainer: name of a plugin in `trainers/`.
        seed: training seed, part of the weights' name.
        params: the trainer's options, merged with its defaults.
        model_params: the model's options, merged with its defaults.
        optimizer: the file (`use`) and the options of the optimiser that the trainer's option `optimizer` names.
        classes: names of the dataset's classes, in label order.
        inputs: where the trainer's and the model's `needs` lie.
        samples: the samples of a split, in shard order, all in memory.
        threads: torch threads; weights depend on it.
        device: `cpu` for weights that are the same bytes every time, else as `nets.pick_device`.
        rows: the log, filled by `log`.
        determinism: what torch was told while it trained, filled by `train_weights`.
        folder: where the shards of a split lie, for who reads them sample by sample; None: there are none.
    """

    dataset: str
    model: str
    trainer: str
    seed: int
    params: Mapping[str, Any]
    model_params: Mapping[str, Any]
    classes: tuple[str, ...]
    inputs: Mapping[Ref, Path]
    samples: Callable[[str], list[Sample]]
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    device: str = "cpu"
    rows: list[LogRow] = field(default_factory=list)
    determinism: dict[str, Any] = field(default_factory=dict)
    folder: Callable[[str], Path] | None = None

    @property
    def plugin(self) -> ModuleType:
        """The model's file."""
        return registry.find("models", self.model)

    def log(self, step: int, name: str, value: float) -> None:
        """Add a row to `log.parquet`: step from 0, the quantity's name, its value."""
        self.rows.append((step, name, float(value)))


@dataclass(frozen=True, slots=True)
class Observation:
    """One number of one unit.

    Attributes:
        metric: what it is a value of; the mean over units is the metric row.
        key: the unit, unique in its place.
        value: finite, at most 10^6 in size.
        model: `dataset/architecture-trainer-sN`, so that means over training seeds are taken; any other name where
            there are none.
        dataset, split, method, detector, shift, severity, group, step: the row's place, as in METRICS.
    """

    metric: str
    key: str
    value: float
    model: str
    dataset: str
    split: str = "test"
    method: str = "plain"
    detector: str | None = None
    shift: str | None = None
    severity: float | None = None
    group: str | None = None
    step: int | None = None


@dataclass(frozen=True)
class Measurement:
    """What an analysis measures with.

    Attributes:
        params: its options, and what its benchmark is: `benchmark`, `dataset`, `split`, `checkpoints` (names),
            `methods`.
        inputs: where its `needs` lie.
        seed: key of all random words.
        models: weights' name -> the model behind it (`use`, `options`).
        device: where networks compute.
    """

    params: Mapping[str, Any]
    inputs: Mapping[Ref, Path]
    seed: int
    models: Mapping[str, Mapping[str, Any]]
    device: str = "cpu"

    def samples(self, of: Ref) -> list[Sample]:
        """The samples of shards that it needs, in the order of the shards."""
        return list(shards.read(self.folder(of)))

    def folder(self, of: Ref) -> Path:
        """The folder of shards that it needs."""
        return next(path.parent for ref, path in self.inputs.items() if ref.kind == of.kind and ref.name == of.name)

    def records(self, of: Ref) -> pa.Table:
        """Records that it needs."""
        return schema.read(self.inputs[of])

    def predictor(self, weights: Ref) -> TorchPredictor:
        """The network of a checkpoint that it needs, in evaluation mode: samples -> features and logits.

        Raises:
            ModelError: a black box.
        """
        from shiftbench.evaluation import nets  # imports torch

        model = self.models[weights.name]
        plugin, file = registry.find("models", model["use"]), self.inputs[weights]
        loaded = nets.load_predictor(
            plugin, file, model["options"], nets.classes_of(file), self.device, inputs=self.inputs
        )
        if not isinstance(loaded, nets.TorchPredictor):
            raise ModelError(f"{weights.name} is a black box, and an analysis wants to see its net")
        return loaded
