"""No training: a checkpoint of MultiOOD, as the authors released it, for the model `action_net`.

    trainers:
      released: {use: released_multiood, path: /data/multiood/checkpoints/HMDB_near_ood_a2d_npmix.pt}

Source: Hugging Face data set hdong51/MultiOOD, `checkpoints`; the layout is in `models/_released.py`. Of the number of
classes and modalities that the checkpoint has.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.multiood.models import _released

TASKS = ("modalities",)


class Options(declare.Options):
    path: str = Field("", description="released checkpoint")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: the user supplies the file, and its sha256 pins it."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the file.

    Raises:
        ModelError: the file is missing, needs pickle, or does not fit.
    """
    model = _loop.fresh_net(job)
    state = _released.read(str(job.params["path"]))
    own = {name: tensor for name, tensor in state.items() if name in model.state_dict()}
    nets.load_into(model, own, str(job.params["path"]))
    return own
