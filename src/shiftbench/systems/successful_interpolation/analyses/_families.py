"""Which samples a path of nets is evaluated on, in chunks, and how right the nets of the path are there.

A sample belongs to a place: a kind (`id`, `val`, `ood`, `ood_finding`) and a block of samples, which are what rows
count. Pictures of the OOD sets are cut in two by their block: those of `ood` are judged, those of `ood_finding` are
looked at beforehand, so that what fails is not found on what judges it.

An answer is one of the classes of a sample's set: logits of others are left out, and where a class of the set is
several of the model's, joined by `|`, the highest counts, as WiSE-FT does with ObjectNet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.func import functional_call

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import Measurement

Place = tuple[str, str]
"""Kind and block."""
KINDS = ("id", "val", "ood", "ood_finding")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """Prepared samples: inputs (n, ...), labels, place and set of each, int64 (n,)."""

    inputs: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor
    sets: torch.Tensor


@dataclass
class Sums:
    """Of each place: how many samples, how many right, the sum of cross-entropies; float64, as many as were met."""

    count: Floats = field(default_factory=lambda: np.zeros(0))
    right: Floats = field(default_factory=lambda: np.zeros(0))
    loss: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, chunk: Chunk, right: torch.Tensor, loss: torch.Tensor) -> None:
        """Add a chunk's answers."""
        at = chunk.places.numpy()
        size = max(len(self.count), int(at.max()) + 1)
        self.count = _grown(self.count, at, None, size)
        self.right = _grown(self.right, at, right.numpy().astype(np.float64), size)
        self.loss = _grown(self.loss, at, loss.numpy().astype(np.float64), size)


def _grown(kept: Floats, at: NDArray[np.int64], values: Floats | None, size: int) -> Floats:
    more = np.bincount(at, values, size).astype(np.float64)
    more[: len(kept)] += kept
    return more


@dataclass
class Sets:
    """All sets that nets are evaluated on.

    Attributes:
        job: gives shards and options.
        predictor: prepares samples.
        classes: of the model.
        places: kind and block, in the order in which they are met.
    """

    job: Measurement
    predictor: nets.TorchPredictor
    classes: Sequence[str]
    places: dict[Place, int] = field(default_factory=dict)

    def spaces(self) -> list[list[list[int]] | None]:
        """Return of each set the model's classes of each of its classes; None: they are the model's."""
        return [self._space(ref) for ref, _ in self.members()]

    def members(self) -> list[tuple[Ref, str]]:
        """Return shards and kind of each set: clean test, clean val, then the OOD sets."""
        params = self.job.params
        own = params["dataset"]
        clean = [(refs.shards(own, params["split"]), "id"), (refs.shards(own, "val"), "val")]
        return clean + [(place(name, params, params["split"]), "ood") for name in params["sets"]]

    def _space(self, ref: Ref) -> list[list[int]] | None:
        names = list(shards.manifest(self.job.folder(ref))["classes"])
        if names == list(self.classes):
            return None
        at = {name: number for number, name in enumerate(self.classes)}
        unknown = [part for name in names for part in name.split("|") if part not in at]
        if unknown:
            raise DataError(f"{ref.name}: the model has no class {unknown[0]!r}; take its classes")
        return [[at[part] for part in name.split("|")] for name in names]

    def chunks(self, kinds: Sequence[str] = KINDS) -> Iterator[Chunk]:
        """Yield all samples of some kinds, `chunk` at a time."""
        items = self._items(kinds)
        while batch := list(islice(items, self.job.params["chunk"])):
            samples = [item[0] for item in batch]
            inputs = nets.to_inputs(self.predictor.prepare(samples), self.predictor.device)
            columns = [[int(s.fields["label"]) for s in samples]]
            columns += [[item[1] for item in batch], [item[2] for item in batch]]
            labels, places, sets = (torch.tensor(column) for column in columns)
            yield Chunk(inputs, labels.to(self.predictor.device), places, sets)

    def _items(self, kinds: Sequence[str]) -> Iterator[tuple[Sample, int, int]]:
        params = self.job.params
        shifted = len(params["sets"])
        each = params["sets_per_sample"] or shifted
        if shifted and shifted % each:
            raise ParamsError(f"sets_per_sample is {each}, and there are {shifted} sets; expected a divisor of it")
        turns = shifted // each if shifted else 1
        for number, (ref, kind) in enumerate(self.members()):
            most = params["val_samples"] if kind == "val" else params["samples"]
            samples = shards.read(self.job.folder(ref))
            for at, sample in enumerate(islice(samples, most or None)):
                if kind == "ood" and (at + number) % turns:
                    continue
                block = at // params["block"]
                half = "ood_finding" if kind == "ood" and block % 2 else kind
                own = (half, f"{block:05d}")
                if half in kinds:
                    yield sample, self.places.setdefault(own, len(self.places)), number


def place(name: str, params: Mapping[str, Any], split: str) -> Ref:
    """Return shards by `SHIFT/SEVERITY` of the tested dataset, or by the name of another dataset."""
    if "/" not in name:
        return refs.shards(name, split)
    shift, _, severity = name.rpartition("/")
    return refs.shards(params["dataset"], split, shift, float(severity))


@torch.no_grad()
def logits(net: nn.Module, state: State, inputs: torch.Tensor, batch: int) -> torch.Tensor:
    """Return what a net with these weights answers, (n, classes)."""
    return torch.cat([functional_call(net, state, (part,)) for part in inputs.split(batch)])


def answers(
    found: torch.Tensor, chunk: Chunk, spaces: Sequence[list[list[int]] | None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return of each sample whether the answer is right, and the cross-entropy in nats, (n,)."""
    right = found.argmax(1) == chunk.labels
    loss = F.cross_entropy(found, chunk.labels, reduction="none")
    for number in chunk.sets.unique().tolist():
        space = spaces[number]
        if space is None:
            continue
        rows = (chunk.sets == number).nonzero()[:, 0].to(found.device)
        own = torch.stack([found[rows][:, classes].amax(1) for classes in space], 1)
        right[rows] = own.argmax(1) == chunk.labels[rows]
        loss[rows] = F.cross_entropy(own, chunk.labels[rows], reduction="none")
    return right.cpu(), loss.cpu()
