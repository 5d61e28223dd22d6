"""One shift at one severity, applied to samples: for the stages and for callers outside of the workflow.

A sample's random words follow from its identity alone, so the result does not depend on who applies the shift,
when, or in which order.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import boxes, poses

TORCH = "shifts_torch"
"""Plugin type of the torch implementations of shifts."""
FOLLOW = {"boxes": boxes.move_boxes, "poses": poses.move_poses}
"""Fields with positions in the image, and the functions by which they follow moved pixels."""


def name_in_torch(shift: ModuleType) -> str | None:
    """Name of a shift's torch implementation, a variant has that of its file; None: it has none."""
    location = registry.location(shift)
    name = location.name or location.file.stem
    return name if name in registry.names(TORCH) else None


@dataclass(frozen=True, slots=True)
class Shifter:
    """A shift that is ready for the samples of one dataset.

    Attributes:
        module: the shift's file.
        name: its name in params.yaml; part of the random key.
        options: all of them, defaults included.
        severity: within the shift's RANGE.
        seed, dataset: parts of the random key.
        fresh: other random words at each severity.
        sources: the folders of the originals that it reads, by name.
        inputs: paths of the artifact's inputs, for a shift that reads a model or other shards.
    """

    module: ModuleType
    name: str
    options: Mapping[str, Any]
    severity: float
    seed: int
    dataset: str
    fresh: bool = False
    sources: Mapping[str, Path] = field(default_factory=dict)
    inputs: Mapping[Ref, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Mapping[str, Any], dataset: str, inputs: Mapping[Ref, Path]) -> Shifter:
        """Make the shift of a recipe (keys `shift`, `severity`, `seed`, `fresh`).

        Args:
            recipe: of shifted shards, or of records whose data are shifted while they are read.
            dataset: name of the dataset that is shifted.
            inputs: of the artifact, including those that the shift's `needs` names.
        """
        spec = recipe["shift"]
        module = registry.find("shifts", spec["use"])
        severity, seed, fresh = recipe["severity"], recipe["seed"], recipe["fresh"]
        sources = {ref.name: path.parent for ref, path in inputs.items() if ref.kind == "sources"}
        return cls(module, spec["name"], spec["options"], severity, seed, dataset, fresh, sources, inputs)

    @property
    def keywords(self) -> dict[str, Any]:
        """The keywords of the shift's `apply`: its options, and its originals and other inputs if it reads any."""
        reads: dict[str, Any] = {"sources": self.sources} if getattr(self.module, "SOURCES", ()) else {}
        if getattr(self.module, "INPUTS", False):
            reads["inputs"] = self.inputs
        return {**self.options, **reads}

    def words(self, key: str) -> RandomStream:
        """Random words of the sample `key`."""
        fresh = self.severity if self.fresh else None
        return RandomStream(self.seed, self.name, self.dataset, key, fresh)

    def __call__(self, sample: Sample) -> Sample:
        """The shifted sample.

        Raises:
            DataError: the sample lacks the field that the shift changes.
            ShiftbenchError: from the shift, with the sample's key in front.
        """
        return shift_sample(sample, self.module, self.severity, self.keywords, self.words(sample.key))


def shift_sample(
    sample: Sample, module: ModuleType, severity: float, options: Mapping[str, Any], rng: RandomStream
) -> Sample:
    """Apply one shift to one sample with the random words of its identity.

    Args:
        sample: whose field FIELD is changed; where FIELD is None the shift takes the whole sample.
        module: the shift's file.
        severity: within the shift's RANGE.
        options: keywords of its `apply`; with `sources` where it reads originals.
        rng: of the sample's identity.

    Raises:
        DataError: the sample lacks the field that the shift changes.
        ShiftbenchError: from the shift, with the sample's key in front.
    """
    field, start = module.FIELD, copy.deepcopy(rng) if moves_marks(sample, module) else None
    if field is not None and field not in sample.fields:
        raise DataError(
            f"{sample.key}: no field {field!r}, which {registry.called(module)} changes; "
            f"it has {', '.join(sorted(sample.fields))}"
        )
    try:
        if field is None:
            shifted: Sample = module.apply(sample, severity, rng, **options)
            return shifted
        value = module.apply(sample.fields[field], severity, rng, **options)
        if start is not None and severity:
            sample = _with_marks(sample, module, severity, options, start)
    except ShiftbenchError as error:
        raise type(error)(f"{sample.key}: {error}") from error
    return sample.with_field(field, value)


def moves_marks(sample: Sample, module: ModuleType) -> bool:
    """Whether a shift moves pixels (`MOVES`) of a sample with boxes or joints, so that these must move too."""
    return bool(getattr(module, "MOVES", False)) and any(name in sample.fields for name in FOLLOW)


def _with_marks(
    sample: Sample, module: ModuleType, severity: float, options: Mapping[str, Any], rng: RandomStream
) -> Sample:
    """Sample with its boxes and joints where the shift takes their pixels, without what left the image."""
    outside = {"border": "constant", "fill": 0}  # a mirror image beyond the edge is no object
    mask_options = {**options, **{name: value for name, value in outside.items() if name in options}}
    move = getattr(module, "follow", module.apply)

    def move_mask(mask: boxes.Pixels) -> boxes.Pixels:
        moved: boxes.Pixels = move(mask, severity, copy.deepcopy(rng), **mask_options)
        return moved

    shape = sample.fields["image"].shape
    for name in FOLLOW.keys() & sample.fields.keys():
        sample = sample.with_field(name, FOLLOW[name](sample.fields[name], shape, move_mask))
    return sample
