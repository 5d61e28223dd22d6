"""A second stream of samples in training: auxiliary outliers, which belong to no class.

    trainers:
      oe: {use: outlier_exposure, outliers: animal_shape}

The train split of `outliers` is prepared as the model prepares its own samples, or cut as the trainer's `crops` says;
each step draws from it by its own words, with replacement, so that what a step sees depends on nothing but (seed,
dataset, epoch, step). What is too large for memory is read from its shards when a step draws it (`_inputs`). Labels are
not read. No benchmark may test on a set that was learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards
from shiftbench.plugins.trainers import _loop
from shiftbench.plugins.trainers._inputs import Inputs

if TYPE_CHECKING:
    from shiftbench.plugins.contracts import TrainJob


@dataclass(frozen=True, slots=True)
class Outliers:
    """The outliers: `inputs` (n, ...), and which of their rows are drawn from, int64 (m,), or all."""

    inputs: Inputs
    rows: npt.NDArray[np.int64] | None = None

    def draw(self, rng: RandomStream, count: int) -> npt.NDArray[Any]:
        """`count` of them, each drawn from all, by the next words."""
        if self.rows is None:
            return self.inputs.seen(rng.integers(0, len(self.inputs), count), rng)
        return self.inputs.seen(self.rows[rng.integers(0, len(self.rows), count)], rng)


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The train shards of the dataset that the option `outliers` names."""
    if params["outliers"] in ("", params["dataset"]):
        raise ParamsError(
            f"outliers = {params['outliers']!r}: name a dataset other than the one that is learnt from "
            f"({params['dataset']})"
        )
    return [refs.shards(params["outliers"], "train")]


def load(job: TrainJob) -> Outliers:
    """The outliers, for the job's model.

    Raises:
        DataError: there is none.
    """
    place = refs.shards(job.params["outliers"], "train").name
    (manifest,) = [path for ref, path in job.inputs.items() if ref.kind == "shards" and ref.name == place]
    if not shards.manifest(manifest.parent)["samples"]:
        raise DataError(f"{place} holds no sample; raise datasets.{job.params['outliers']}.subset")
    return Outliers(_loop.prepared(job, manifest.parent))
