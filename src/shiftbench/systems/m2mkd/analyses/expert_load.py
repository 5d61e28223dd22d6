"""Balance of the experts of a block: entropy of their loads, 1 where all see as many tokens, 0 for one alone.

A unit is a block, loads are counted over the tokens of all images, and a row's group is the block.

Source: Shazeer et al., "Outrageously Large Neural Networks", ICLR 2017, section 4: gates without a loss that balances
loads may collapse.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.m2mkd.models._blocks import Mixture


class Options(declare.Options):
    samples: int = Field(1000, ge=1, description="images whose tokens are counted, the first ones")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoint and the clean shards."""
    clean = refs.shards(params["dataset"], params["split"])
    return [clean, *(Ref("checkpoints", name) for name in params["checkpoints"])]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield `expert_load` of every block with experts of every network."""
    at = refs.shards(job.params["dataset"], job.params["split"])
    samples = job.samples(at)[: job.params["samples"]]
    condition = {"dataset": job.params["dataset"], "split": job.params["split"]}
    for name in job.params["checkpoints"]:
        predictor = job.predictor(Ref("checkpoints", name))
        inputs = nets.to_inputs(predictor.prepare(samples), predictor.device)
        for block, value in enumerate(loads(predictor.net, inputs)):
            yield Observation(
                "expert_load", f"block_{block:02d}", value, group=f"block {block + 1}", model=name, **condition
            )


def loads(model: torch.nn.Module, inputs: torch.Tensor) -> list[float]:
    """Entropy of the loads of each mixture of a network, in its largest value; nothing without experts.

    Args:
        model: in evaluation mode.
        inputs: as the network takes them, (n, ...).
    """
    counts: dict[int, torch.Tensor] = {}
    mixtures = [part for part in model.modules() if isinstance(part, Mixture)]

    def count(number: int, mixture: Mixture, x: torch.Tensor) -> None:
        _, chosen = mixture.route(x.reshape(-1, x.shape[-1]))
        tokens = torch.bincount(chosen.reshape(-1).cpu(), minlength=len(mixture.gate.bias))
        counts[number] = counts.get(number, 0) + tokens

    handles = [
        part.register_forward_pre_hook(lambda m, args, at=at: count(at, m, args[0])) for at, part in enumerate(mixtures)
    ]
    try:
        with torch.inference_mode():
            for batch in inputs.split(256):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return [entropy(counts[at]) for at in range(len(mixtures))]


def entropy(counts: torch.Tensor) -> float:
    """The entropy of shares, as a share of its largest value.

    Example:
        >>> entropy(torch.tensor([2, 2, 2, 2])), entropy(torch.tensor([8, 0]))
        (1.0, 0.0)
    """
    shares = counts.double() / counts.sum()
    value: float = -torch.special.xlogy(shares, shares).sum().item() / math.log(len(counts))
    return abs(value)
