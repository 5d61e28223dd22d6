"""No training: weights as they are, with the rates at which they adapt best searched on another drift.

A network that is compared inside and beyond a training family is deployed at a rate for each (`search`), and trained
once.

Source: as `oe_shifted`, whose search it is (`_drift`). `start` names the trainer of the weights, of the same dataset
and seed; `outliers` and `weight` are what they were trained with.
"""

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _outliers
from shiftbench.systems.mol_caood.trainers import _drift

TASKS = ("classification",)
PARAMS: dict[str, object] = {**registry.defaults(_drift), "start": "oe_shifted"}
uses = _drift.uses


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
