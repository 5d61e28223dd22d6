"""No training: a checkpoint of MultiOOD, as the authors released it, for the model `action_net`.

    trainers:
      released: {use: released_multiood, path: /data/multiood/checkpoints/HMDB_near_ood_a2d_npmix.pt}

Source: Hugging Face data set hdong51/MultiOOD, `checkpoints`; the layout is in `models/_released.py`. Of the number of
classes and modalities that the checkpoint has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from shiftbench.contracts import TrainJob
from shiftbench.inference import nets
from shiftbench.refs import Ref
from shiftbench.systems.multiood.models import _released
from shiftbench.trainers import _loop

TASKS = ("modalities",)
PARAMS: dict[str, object] = {"path": ""}


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return nothing: the file is the user's, and pinned by its sha256."""
    return []


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """Return the state dict of the file.

    Raises:
        ModelError: the file is missing, needs pickle, or does not fit.
    """
    net = _loop.fresh_net(job)
    state = _released.read(str(job.params["path"]))
    own = {name: tensor for name, tensor in state.items() if name in net.state_dict()}
    nets.load_into(net, own, str(job.params["path"]))
    return own
