"""The unlabelled target of a method that adapts before it answers: its shards, read without their labels.

What is evaluated at a position is the target itself (transductive), or `target` names another dataset with images of
the same domain, under the same split, shift and severity: then what is evaluated was not adapted on, and an image of
both is an error.
"""

from __future__ import annotations

import abc
import copy
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import CheckpointName, Ref, ShardsName
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins.methods import _adapting

BATCH = 128
Dataset = Annotated[
    str, Field(description="dataset whose images the model adapts to; empty: the one that it is evaluated on")
]


class Adapted(_adapting.Adapting, abc.ABC):
    """A network that is adapted to the target of each position, once for each.

    `learn` changes the trained network, in place; its state for a target is kept for all that are evaluated with it.
    """

    def __init__(self, predictor: Any, target: str) -> None:
        super().__init__(predictor)
        self._target = target
        self._adapted: dict[Path, _adapting.State] = {}

    @abc.abstractmethod
    def learn(self, target: Target, seed: int) -> None:
        """Change the network, which is as it was trained; `seed` is that of its training."""

    def at(self, inputs: Mapping[Ref, Path]) -> None:
        """Go to a position: learn from its target, or load the state that it gave before."""
        target = find(inputs, self._target)
        if target.folder in self._adapted:
            self.net.load_state_dict(self._adapted[target.folder])
            return
        self.reset()
        seed = next((CheckpointName.of(ref).seed for ref in inputs if ref.kind == "checkpoints"), 0)
        self.learn(target, seed)
        self._adapted[target.folder] = copy.deepcopy(self.net.state_dict())


class Target(NamedTuple):
    """Where the unlabelled target lies, and what it is called."""

    ref: Ref
    folder: Path


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards that are adapted on under a condition.

    `params`: the option `target`, and `stream` and `step` of the context.
    """
    if "/" not in params["stream"]:
        raise ParamsError(
            f"a method that adapts to a whole target has none in the stream {params['stream']!r}; list shifts instead"
        )
    dataset, split, shift = params["stream"].split("/")
    return [refs.shards(params["target"] or dataset, split, shift, float(params["step"]))]


def find(inputs: Mapping[Ref, Path], target: str, others: Collection[Ref] = ()) -> Target:
    """The target among the inputs of a position.

    Args:
        inputs: of the records.
        target: the option; empty: what is evaluated.
        others: shards that the method reads for another purpose.

    Raises:
        DataError: an evaluated image is also one of a target that is to be another.
    """
    folders = {ref: path for ref, path in inputs.items() if ref.kind == "shards" and ref not in others}
    own = [ref for ref in folders if not target or ShardsName.of(ref).dataset == target]
    chosen = Target(own[0], folders[own[0]].parent)
    keys = {entry.key for entry in shards.index(chosen.folder)}
    for ref, path in folders.items():
        shared = keys.intersection(entry.key for entry in shards.index(path.parent))
        if ref not in own and shared:
            raise DataError(
                f"{len(shared)} images of {ref.name}, first {min(shared)!r}, are also in the target {target!r}, which "
                "is adapted on; cut the two apart, with other `slice`"
            )
    return chosen


def images(folder: Path, rows: npt.NDArray[np.int64] | None = None) -> Iterator[list[Sample]]:
    """Yield samples of shards in batches of at most 128, in key order, with no field but `image`.

    Args:
        folder: of the shards.
        rows: which, int64, by their number in key order; default: all.
    """
    keys = None
    if rows is not None:
        index = list(shards.index(folder))
        keys = frozenset(index[row].key for row in rows)
    batch: list[Sample] = []
    for sample in shards.read(folder, ["image"], keys):
        batch.append(sample)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def some(folder: Path, most: int, rng: RandomStream) -> npt.NDArray[np.int64]:
    """The numbers of at most `most` samples of shards, drawn, ascending, int64."""
    count = len(list(shards.index(folder)))
    return np.sort(rng.choice(count, min(most, count)))
