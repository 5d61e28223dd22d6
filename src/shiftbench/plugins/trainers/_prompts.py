"""Prompts to learn from, batch by batch: those of one batch have as many tokens, so that nothing is padded."""

from typing import Annotated

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.contracts import TrainJob

Groups = Annotated[list[str], Field(description="groups of training samples (`meta.group`); empty: all samples")]
Balanced = Annotated[bool, Field(description="draw each length of prompt equally often; false: each prompt")]


class Prompts:
    """The train split, or those groups of it that the option `groups` names (none: all), by the length of prompts.

    Args:
        job: with the options `groups` and `balanced`: whether each length is drawn as often, else each prompt is.

    Raises:
        ParamsError: no such sample.
    """

    def __init__(self, job: TrainJob) -> None:
        groups = job.params["groups"]
        samples = [one for one in job.samples("train") if not groups or _group(one) in groups]
        if not samples:
            raise ParamsError(f"{job.trainer}: no training prompt is of the groups {groups}")
        places = job.plugin.of_one_length(samples, job.model_params)
        self._lengths = [[samples[at] for at in own] for own in places]
        sizes = np.array([1 if job.params["balanced"] else len(own) for own in self._lengths])
        self._ends = np.cumsum(sizes) / sizes.sum()

    def drawn(self, count: int, rng: RandomStream) -> list[Sample]:
        """Samples of one length, none twice unless it has fewer than `count`."""
        part = float(rng.raw(1)[0] >> np.uint64(11)) / 2**53
        samples = self._lengths[int(np.searchsorted(self._ends, part, side="right"))]
        order = rng.choice(len(samples)).tolist()
        return [samples[order[at % len(order)]] for at in range(count)]


def _group(sample: Sample) -> str | None:
    return (sample.fields.get("meta") or {}).get("group")
