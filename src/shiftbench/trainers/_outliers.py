"""A second stream of samples in training: auxiliary outliers, which belong to no class.

    trainers:
      oe: {use: outlier_exposure, outliers: animal_shape}

The train split of `outliers` is read once and prepared as the model prepares its own samples; each step draws from it
by its own words, with replacement, so that what a step sees depends on nothing but (seed, dataset, epoch, step). All of
it is in memory: give a large set a `subset` (more than epochs x training samples are never looked at). Labels are not
read. No campaign may test on a set that was learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from shiftbench import refs
from shiftbench.data import shards
from shiftbench.errors import DataError, ParamsError
from shiftbench.inference import nets
from shiftbench.refs import Ref
from shiftbench.rng import RandomStream
from shiftbench.sample import Sample

if TYPE_CHECKING:
    from shiftbench.contracts import TrainJob


@dataclass(frozen=True, slots=True)
class Outliers:
    """The prepared outliers: `inputs` (n, ...), as the model's `prepare` gives them."""

    inputs: npt.NDArray[Any]

    def draw(self, rng: RandomStream, count: int) -> npt.NDArray[Any]:
        """Return `count` of them, each drawn from all, by the next words."""
        return self.inputs[rng.integers(0, len(self.inputs), count)]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the train shards of the dataset that the option `outliers` names.

    Raises:
        ParamsError: it names none, or the dataset that is learnt from.
    """
    if params["outliers"] in ("", params["dataset"]):
        raise ParamsError(
            f"outliers = {params['outliers']!r}: name a dataset other than the one that is learnt from "
            f"({params['dataset']})"
        )
    return [refs.shards(params["outliers"], "train")]


def samples(job: TrainJob) -> list[Sample]:
    """Return the outliers themselves, in the order of their shards.

    Raises:
        DataError: there is none.
    """
    place = refs.shards(job.params["outliers"], "train").name
    (manifest,) = [
        path for ref, path in job.inputs.items() if ref.kind == "shards" and ref.name == place
    ]
    found = list(shards.read(manifest.parent))
    if not found:
        raise DataError(f"{place} holds no sample; raise datasets.{job.params['outliers']}.subset")
    return found


def load(job: TrainJob) -> Outliers:
    """Return the outliers, prepared for the job's model."""
    return Outliers(nets.prepare(job.plugin, samples(job), job.model_params))
