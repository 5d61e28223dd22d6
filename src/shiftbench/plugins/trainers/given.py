"""No training: a model of yours as it is, known by the sha256 of its file.

Source: none. For networks with an architecture here (`checkpoint`, `torchvision`, `timm`) the weights are
copied; for black boxes (ONNX, TorchScript, callables, predictions) they hold the file's sha256, and
a model that is another file later is refused. The option `path` gives a checkpoint to any network of
`models/`: `mine: {use: given, path: mine.safetensors}`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import _given
from shiftbench.plugins.trainers import pretrained

READS_SOURCES = True  # the model's own `needs`


class Options(declare.Options):
    path: str = Field("", description="checkpoint of yours for the network; empty: the model's own file")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Nothing: what the model needs is added by the plan."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """A state dict, or the fingerprint of a black box."""
    if job.params["path"]:
        return _from_file(job, Path(job.params["path"]))
    if hasattr(job.plugin, "pretrained"):
        return pretrained.train(job)
    if not job.model_params.get("path"):
        raise ModelError(f"model {job.model!r} names no file; give it, or the trainer, a `path:`")
    return _given.state(str(job.model_params["path"]))


def _from_file(job: TrainJob, file: Path) -> dict[str, torch.Tensor]:
    if not hasattr(job.plugin, "build"):
        raise ModelError(
            f"trainer `given` has a path, but {job.model!r} is no net that could load {file}; "
            "give the path to the model"
        )
    return pretrained.fitted(job, nets.read_state(file), file)
