"""A checkpoint file of yours in an architecture from `models/`, `torchvision` or `timm`.

`mine: {use: checkpoint, path: mine.safetensors, net: torchvision, options: {name: resnet50}}`. `.safetensors`,
or `.pt` that loads with `weights_only=True`; a pickle is refused. Tensor names may be the net's own or,
for torchvision and timm, those of the uncut net. Source: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from shiftbench import plugins
from shiftbench.errors import ModelError
from shiftbench.inference import nets
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "classification"
PARAMS: dict[str, object] = {"path": "", "net": "convnet", "options": {}}


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the other plugins whose code decides the result."""
    return [("models", params["net"])]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """Return the architecture that `net` names.

    Raises:
        ModelError: `net` is no architecture.
    """
    model, options = _inner(params)
    net: nn.Module = model.build(options, classes)
    return net


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Return the file's tensors; a `module.` that DataParallel left is taken off.

    Raises:
        ModelError: the file is missing or refused.
    """
    state = nets.read_state(Path(params["path"]))
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _inner(params: Mapping[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    model = plugins.find("models", params["net"])
    if not hasattr(model, "build"):
        raise ModelError(
            f"checkpoint's net {params['net']!r} is no architecture; use convnet, torchvision, timm"
        )
    return model, {**model.PARAMS, **params["options"]}


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return the net's input for samples."""
    model, options = _inner(params)
    return nets.prepare(model, samples, options)
