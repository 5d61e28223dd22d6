"""Paths in weight space, from one start (theta_0) to the models that were fine-tuned from it (theta_1).

A path leads from theta_0 to one theta_1, or to a variant of this end whose layers lost a share of their weights.
`states` yields the state dict at each a of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from torch.func import functional_call

from shiftbench.base import refs
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import Measurement
from shiftbench.plugins.trainers import _interpolation

PLAIN, FISHER = "", "fisher"
VARIANT = re.compile(r"(delta|weights)_(0(?:\.\d+)?|1)_(stragglers|others)")


@dataclass(frozen=True)
class Path:
    """A path of a pool.

    Attributes:
        member: label of theta_1.
        alphas: where models are evaluated, 0 to 1.
        variant: `TARGET_SHARE_ARM` for an end that lost weights, FISHER for mixtures by Fisher information, or PLAIN.
        stragglers: straggler layers of theta_1.
    """

    member: str
    alphas: Sequence[float]
    variant: str = PLAIN
    stragglers: Sequence[str] = ()


@dataclass
class Pool:
    """Models that were fine-tuned from one start.

    Attributes:
        job: files, options and random words.
        start: name of theta_0's checkpoint.
        members: label -> name of theta_1's checkpoint.
        predictor: theta_0, whose network also computes with other state dicts.
        first: state dict of theta_0.
    """

    job: Measurement
    start: str
    members: Mapping[str, str]
    predictor: nets.TorchPredictor
    first: State

    @classmethod
    def load(cls, job: Measurement, start: str, checkpoints: Sequence[str]) -> Pool:
        """Load theta_0; `tuned` reads a theta_1."""
        predictor = job.predictor(Ref("checkpoints", start))
        state = {name: tensor.clone() for name, tensor in predictor.net.state_dict().items()}
        return cls(job, start, {label(name, start): name for name in checkpoints}, predictor, state)

    @property
    def params(self) -> Mapping[str, Any]:
        """The analysis' options and context."""
        return self.job.params

    @property
    def classes(self) -> Sequence[str]:
        """The models' classes."""
        return nets.classes_of(self.job.inputs[Ref("checkpoints", self.start)])

    def tuned(self, member: str) -> State:
        """State dict of a theta_1, on the device of theta_0.

        Raises:
            ModelError: it has another architecture than theta_0.
        """
        file = self.job.inputs[Ref("checkpoints", self.members[member])]
        state = {name: tensor.to(self.predictor.device) for name, tensor in nets.read_state(file).items()}
        _interpolation.check(self.first, state, f"{self.start} and {self.members[member]}")
        return state

    @torch.no_grad()
    def logits(self, state: State, inputs: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of the network with this state dict."""
        parts = inputs.split(self.params["batch_size"])
        return torch.cat([functional_call(self.predictor.net, state, (part,)) for part in parts])

    @cached_property
    def layers(self) -> dict[str, tuple[str, ...]]:
        """Layers of the network, name -> names of tensors."""
        names = [name for name, _ in self.predictor.net.named_parameters()]
        return _interpolation.layers(self.first, names, self.params["unit"])

    @cached_property
    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of training images for sharpness and Fisher information, inputs and labels."""
        inputs, labels = self.prepared(refs.shards(self.params["dataset"], "train"), self.params["sharpness_samples"])
        size = self.params["sharpness_batch"]
        return list(zip(inputs.split(size), labels.split(size), strict=True))

    def prepared(self, ref: Ref, limit: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and labels of the first samples of some shards."""
        samples = list(islice(shards.read(self.job.folder(ref)), limit))
        labels = torch.tensor([int(sample.fields["label"]) for sample in samples])
        device = self.predictor.device
        return nets.to_inputs(self.predictor.prepare(samples), device), labels.to(device)

    def words(self, name: str) -> RandomStream:
        """Random words of one purpose."""
        return RandomStream(self.job.seed, "interpolation_path", self.start, name)

    def fisher(self, name: str, state: State) -> State:
        """Diagonal Fisher information of a state dict, on `fisher_samples` training images."""
        inputs = torch.cat([batch for batch, _ in self.batches])[: self.params["fisher_samples"]]
        return _interpolation.fisher(self.predictor.net, state, inputs, self.words(name))

    @cached_property
    def first_fisher(self) -> State:
        """Diagonal Fisher information of theta_0."""
        return self.fisher("fisher", self.first)


def label(name: str, start: str) -> str:
    """Label of a theta_1: its trainer, with its seed if theta_0 has another seed."""
    checkpoint = CheckpointName.of(Ref("checkpoints", name))
    if checkpoint.seed == CheckpointName.of(Ref("checkpoints", start)).seed:
        return checkpoint.trainer
    return f"{checkpoint.trainer}_{checkpoint.seed}"


def states(pool: Pool, path: Path, theta_1: State) -> Iterator[tuple[float, State]]:
    """Yield each a of a path with its state dict; `theta_1` is a state dict."""
    if path.variant == FISHER:
        fishers = (pool.first_fisher, pool.fisher(f"fisher/{path.member}", theta_1))
        for a in path.alphas:
            yield a, _interpolation.fisher_weighted(pool.first, theta_1, a, fishers)
        return
    last = end(pool, path, theta_1)
    network = pool.predictor.net
    recompute = pool.params["norm"] == "recomputed" and _interpolation.normalised(network)
    for a in path.alphas:
        state = _interpolation.mixed(pool.first, last, a)
        if recompute and 0 < a < 1:
            inputs = torch.cat([batch for batch, _ in pool.batches])
            state = _interpolation.recomputed(network, state, inputs)
        yield a, state


def end(pool: Pool, path: Path, theta_1: State) -> State:
    """State dict at a = 1: theta_1, of which a variant lost weights."""
    if path.variant == PLAIN:
        return theta_1
    target, share, arm = path.variant.split("_")
    layers = path.stragglers if arm == "stragglers" else other_layers(pool, path)
    names = [name for layer in layers for name in pool.layers[layer]]
    reference = pool.first if target == "delta" else None
    return _interpolation.sparse(theta_1, names, float(share), pool.words(f"{path.member}/{path.variant}"), reference)


def other_layers(pool: Pool, path: Path) -> list[str]:
    """As many random layers as there are stragglers, none of them a straggler; the same for all shares and targets."""
    others = [layer for layer in pool.layers if layer not in path.stragglers]
    order = pool.words(f"{path.member}/others").choice(len(others))
    return [others[index] for index in sorted(order[: len(path.stragglers)].tolist())]
