"""Training samples by environment: groups of samples, the part that a seed sees, and batches of several environments.

The environment of a sample is `environment` in its `meta`. The samples that `per_environment` takes differ between
training seeds and are the same for all trainers of one seed, so that seeds are resamples of the data, too. Batches are
from shuffled passes over each environment.

Source: as the group loader of WILDS (Koh et al. 2021, arXiv:2012.07421) with `distinct_groups` and
`uniform_over_groups`; full batches as in IRM's and RFC's ColoredMNIST.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.plugins.trainers._inputs import Inputs

Rows = NDArray[np.int64]


class Options(declare.Options):
    per_environment: int = Field(0, ge=0, description="samples of each environment, drawn by the seed; 0: all")
    batch_size: int = Field(0, ge=0, description="samples of each environment in a batch; 0: all")
    environments_per_batch: int = Field(0, ge=0, description="environments in a batch, drawn for each step; 0: all")


class Part(NamedTuple):
    """Of a batch what is of one environment: its name, the network's inputs (n, ...) and labels int64 (n,)."""

    name: str
    inputs: torch.Tensor
    labels: torch.Tensor


Batch = list[Part]


class Environments:
    """Samples of a split, and which environment each belongs to.

    Attributes:
        inputs: of n samples, as the model prepares them.
        labels: int64 (n,).
        rows: name -> rows, in the order of names.
        home: names of the environments as they were read, whatever groups are made of them.
    """

    def __init__(
        self, inputs: Inputs, labels: torch.Tensor, rows: Mapping[str, Rows], home: Sequence[str] | None = None
    ) -> None:
        self.inputs, self.labels, self.rows = inputs, labels, dict(rows)
        self.home = tuple(rows if home is None else home)

    def pooled(self) -> Environments:
        """The same samples as one group."""
        return self.regrouped({"all": np.concatenate(list(self.rows.values()))})

    def regrouped(self, rows: Mapping[str, Rows]) -> Environments:
        """The same samples in other groups; one without samples is left out."""
        kept = {name: one for name, one in rows.items() if len(one)}
        return Environments(self.inputs, self.labels, kept, self.home)

    def part(self, name: str, rows: Rows, network: torch.nn.Module) -> Part:
        """Network input for rows, on the network's device."""
        device = next(network.parameters()).device
        labels = self.labels[torch.from_numpy(rows)].to(device)
        return Part(name, nets.to_inputs(self.inputs[rows], device), labels)


def read(job: TrainJob, split: str = "train") -> Environments:
    """A split by environment; of `train`, where `per_environment` is set, the part of the job's seed.

    Raises:
        DataError: a sample states no environment, or an environment has fewer than are asked for.
    """
    count = job.params.get("per_environment", 0) if split == "train" else 0
    if job.folder is None:
        samples = job.samples(split)
        named = [_environment(sample) for sample in samples]
    else:
        folder = job.folder(split)
        named = [_environment(one) for one in shards.read(folder, ("meta",))]
    rows = {name: np.flatnonzero([name == one for one in named]) for name in sorted(set(named))}
    if count:
        rows = {name: _part(job, name, one, count) for name, one in rows.items()}
    if not count:
        inputs, labels = _loop.inputs(job, split)
        return Environments(inputs, labels, rows)
    kept = np.concatenate(list(rows.values()))
    source = samples if job.folder is None else shards.Lookup(job.folder(split))
    chosen = [source[int(row)] for row in kept]
    labels = torch.tensor([int(sample.fields["label"]) for sample in chosen])
    ends = np.cumsum([0, *map(len, rows.values())])
    renumbered = {name: np.arange(low, high) for name, low, high in zip(rows, ends[:-1], ends[1:], strict=True)}
    return Environments(_loop.prepared(job, chosen), labels, renumbered)


def _environment(sample: Sample) -> str:
    meta = sample.fields.get("meta") or {}
    if "environment" not in meta:
        raise DataError(
            f"{sample.key} states no environment in its meta; use a dataset that does, such as colored_mnist"
        )
    return str(meta["environment"])


def _part(job: TrainJob, name: str, rows: Rows, count: int) -> Rows:
    """So many rows of one environment, drawn by the seed."""
    if len(rows) < count:
        raise DataError(f"{job.dataset}: environment {name} has {len(rows)} samples, per_environment asks for {count}")
    order = RandomStream(job.seed, "per_environment", job.dataset, name).choice(len(rows))
    return rows[np.sort(np.asarray(order, dtype=np.int64)[:count])]


def batches(
    job: TrainJob, envs: Environments, network: torch.nn.Module, steps: int, purpose: str = "order"
) -> Iterator[Batch]:
    """Yield a batch for each step: one tensor of inputs and one of labels for each environment in it."""
    size, names = job.params["batch_size"], list(envs.rows)
    if not size:
        whole = [envs.part(name, rows, network) for name, rows in envs.rows.items()]
        for _ in range(steps):
            yield whole
        return
    passes = {name: _passes(job, name, envs.rows[name], size, purpose) for name in names}
    most = job.params["environments_per_batch"] or len(names)
    for step in range(steps):
        words = RandomStream(job.seed, job.trainer, job.dataset, f"{purpose}/{step}")
        drawn = sorted(int(at) for at in words.choice(len(names))[:most])
        yield [envs.part(names[at], next(passes[names[at]]), network) for at in drawn]


def _passes(job: TrainJob, name: str, rows: Rows, size: int, purpose: str) -> Iterator[Rows]:
    """Yield `size` rows at a time out of shuffled passes; what is left over at the end of a pass is left out."""
    epoch = 0
    while True:
        words = RandomStream(job.seed, job.trainer, job.dataset, f"{purpose}/{name}/{epoch}")
        order = rows[np.asarray(words.choice(len(rows)), dtype=np.int64)]
        for low in range(0, max(1, len(order) - size + 1), size):
            yield order[low : low + size]
        epoch += 1


def accuracies(network: torch.nn.Module, envs: Environments, batch: int = 1024) -> dict[str, float]:
    """The share of right answers in each environment; the network is left in evaluation mode."""
    return {
        name: float((answers(network, envs, rows, batch) == envs.labels[rows]).float().mean())
        for name, rows in envs.rows.items()
    }


def answers(network: torch.nn.Module, envs: Environments, rows: Rows, batch: int = 1024) -> torch.Tensor:
    """The network's answers to rows, int64 (n,) on the CPU; the network is left in evaluation mode."""
    network.eval()
    with torch.inference_mode():
        parts = [
            network(envs.part("", rows[low : low + batch], network).inputs).argmax(1).cpu()
            for low in range(0, len(rows), batch)
        ]
    return torch.cat(parts)
