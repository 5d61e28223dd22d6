"""No training: a model as it is, with the rates at which they adapt best searched on another drift.

A network that is compared inside and beyond a training family is deployed at a rate for each (`search`), and trained
once.

Source: as `oe_shifted`, whose search it is (`_drift`). `outliers` and `weight` are those of the model's training.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _outliers
from shiftbench.systems.mol_caood.trainers import _drift

TASKS = ("classification",)
uses = _drift.uses


class Options(_drift.Options):
    start: str = Field("oe_shifted", description="trainer of the model, of the same data set and seed")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoint, the train and val shards, and the outliers' shards."""
    start = refs.checkpoint(params["dataset"], params["model"], params["start"], params["seed"])
    own = [refs.shards(params["dataset"], split) for split in ("train", "val")]
    return [start, *own, *_outliers.needs(params)]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of a checkpoint."""
    (start,) = [path for ref, path in job.inputs.items() if ref.kind == "checkpoints"]
    model = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(model, nets.read_state(start), start)
    _drift.search(job, model, _outliers.load(job))
    return dict(model.state_dict())
