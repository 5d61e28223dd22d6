"""Test sets of a path: their samples in chunks, and the correctness of a model's answers.

A sample belongs to a block of one kind (`id`, `val`, `ood`, `ood_finding`). Rows count blocks. The blocks of an OOD
set alternate between two kinds: `ood_finding` decides which paths fail, and `ood` evaluates them. So no path is judged
on the samples that its failure was found on.

An answer is a class of the sample's own set: logits of other classes do not count. If a class of the set combines
several classes of the model, joined by `|`, their highest logit counts, as in WiSE-FT for ObjectNet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import Measurement

Block = tuple[str, str]
"""Kind and number of a block."""
ClassMap = list[list[int]] | None
"""The model's classes of each class of a set; None: the set has the model's classes."""
KINDS = ("id", "val", "ood", "ood_finding")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chunk:
    """Prepared samples: inputs (n, ...), and the label, block and set of each, int64 (n,)."""

    inputs: torch.Tensor
    labels: torch.Tensor
    blocks: torch.Tensor
    sets: torch.Tensor


@dataclass
class Sums:
    """Number of samples, number of correct answers and sum of cross-entropies of each block, float64."""

    count: Floats = field(default_factory=lambda: np.zeros(0))
    correct: Floats = field(default_factory=lambda: np.zeros(0))
    loss: Floats = field(default_factory=lambda: np.zeros(0))

    def add(self, chunk: Chunk, correct: torch.Tensor, loss: torch.Tensor) -> None:
        """Add the answers to a chunk."""
        blocks = chunk.blocks.numpy()
        size = max(len(self.count), int(blocks.max()) + 1)
        self.count = _extended(self.count, blocks, None, size)
        self.correct = _extended(self.correct, blocks, correct.numpy().astype(np.float64), size)
        self.loss = _extended(self.loss, blocks, loss.numpy().astype(np.float64), size)


def _extended(sums: Floats, blocks: NDArray[np.int64], values: Floats | None, size: int) -> Floats:
    total = np.bincount(blocks, values, size).astype(np.float64)
    total[: len(sums)] += sums
    return total


@dataclass
class Sets:
    """All sets that models are evaluated on.

    Attributes:
        job: shards and options.
        predictor: prepares samples.
        classes: the model's.
        blocks: numbers of the blocks, in the order of their first samples.
    """

    job: Measurement
    predictor: nets.TorchPredictor
    classes: Sequence[str]
    blocks: dict[Block, int] = field(default_factory=dict)

    def members(self) -> list[tuple[Ref, str]]:
        """Shards and kind of each set: clean test, clean val, then the OOD sets."""
        params = self.job.params
        dataset, split = params["dataset"], params["split"]
        clean = [(refs.shards(dataset, split), "id"), (refs.shards(dataset, "val"), "val")]
        return clean + [(shards_of(name, params, split), "ood") for name in params["sets"]]

    def class_maps(self) -> list[ClassMap]:
        """The class map of each set.

        Raises:
            DataError: the model lacks a class of a set.
        """
        return [self._class_map(ref) for ref, _ in self.members()]

    def _class_map(self, ref: Ref) -> ClassMap:
        names = list(shards.manifest(self.job.folder(ref))["classes"])
        if names == list(self.classes):
            return None
        index = {name: number for number, name in enumerate(self.classes)}
        unknown = [part for name in names for part in name.split("|") if part not in index]
        if unknown:
            raise DataError(f"{ref.name}: the model has no class {unknown[0]!r}; take its classes")
        return [[index[part] for part in name.split("|")] for name in names]

    def chunks(self, kinds: Sequence[str] = KINDS) -> Iterator[Chunk]:
        """Yield the samples of some kinds, `chunk` at a time."""
        items = self._items(kinds)
        device = self.predictor.device
        while batch := list(islice(items, self.job.params["chunk"])):
            samples, blocks, sets = zip(*batch, strict=True)
            inputs = nets.to_inputs(self.predictor.prepare(list(samples)), device)
            labels = torch.tensor([int(sample.fields["label"]) for sample in samples])
            yield Chunk(inputs, labels.to(device), torch.tensor(blocks), torch.tensor(sets))

    def _items(self, kinds: Sequence[str]) -> Iterator[tuple[Sample, int, int]]:
        """Yield samples with the numbers of block and set; `sets_per_sample` OOD sets contain each OOD sample."""
        params = self.job.params
        ood_sets = len(params["sets"])
        per_sample = params["sets_per_sample"] or ood_sets
        if ood_sets and ood_sets % per_sample:
            raise ParamsError(
                f"sets_per_sample is {per_sample}, and there are {ood_sets} sets; expected a divisor of this number"
            )
        turns = ood_sets // per_sample if ood_sets else 1
        for number, (ref, kind) in enumerate(self.members()):
            limit = params["val_samples"] if kind == "val" else params["samples"]
            samples = shards.read(self.job.folder(ref))
            for sample_number, sample in enumerate(islice(samples, limit or None)):
                if kind == "ood" and (sample_number + number) % turns:
                    continue
                block = sample_number // params["block"]
                half = "ood_finding" if kind == "ood" and block % 2 else kind
                if half in kinds:
                    yield sample, self.blocks.setdefault((half, f"{block:05d}"), len(self.blocks)), number


def shards_of(name: str, params: Mapping[str, Any], split: str) -> Ref:
    """Shards of `SHIFT/SEVERITY` of the tested data set, or of another data set."""
    if "/" not in name:
        return refs.shards(name, split)
    shift, _, severity = name.rpartition("/")
    return refs.shards(params["dataset"], split, shift, float(severity))


def answers(logits: torch.Tensor, chunk: Chunk, class_maps: Sequence[ClassMap]) -> tuple[torch.Tensor, torch.Tensor]:
    """Correctness (bool) and cross-entropy in nats of each sample's answer, (n,) each."""
    correct = logits.argmax(1) == chunk.labels
    loss = F.cross_entropy(logits, chunk.labels, reduction="none")
    for number in chunk.sets.unique().tolist():
        class_map = class_maps[number]
        if class_map is None:
            continue
        rows = (chunk.sets == number).nonzero()[:, 0].to(logits.device)
        class_logits = torch.stack([logits[rows][:, classes].amax(1) for classes in class_map], 1)
        correct[rows] = class_logits.argmax(1) == chunk.labels[rows]
        loss[rows] = F.cross_entropy(class_logits, chunk.labels[rows], reduction="none")
    return correct.cpu(), loss.cpu()
