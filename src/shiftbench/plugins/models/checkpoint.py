"""A checkpoint file of yours in an architecture from `models/`, `torchvision` or `timm`.

`mine: {use: checkpoint, path: mine.safetensors, net: torchvision, options: {name: resnet50}}`. `.safetensors`,
or `.pt` that loads with `weights_only=True`; a pickle is refused. Tensor names may be the network's own or,
for torchvision and timm, those of the uncut network, with or without its head.

`rename` maps the names of a release to those of the network. Of several beginnings that fit, the longest counts. Leave
out projections and momentum encoders by null; nothing else is dropped.

| release | rename |
| --- | --- |
| MoCo v3, ResNet-50 | `{module.base_encoder.: "", module.base_encoder.fc.: null, module.: null}` |
| SwAV, ResNet-50 | `{module.: "", module.projection_head.: null, module.prototypes.: null}` |
| iBOT, ViT (with a head of its own: `extract_backbone_weights.py` of the release takes it off) | none |

Source: none; the names are those of the releases (facebookresearch/moco-v3, facebookresearch/swav, bytedance/ibot).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from pydantic import Field
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _foreign

TASK = "classification"


class Options(declare.Options):
    path: str = Field("", description="your file, `.safetensors` or `.pt`")
    net: str = Field("convnet", description="architecture: a plugin of type models that builds a network")
    options: dict[str, Any] = Field({}, description="options of the architecture")
    rename: dict[str, str | None] = Field(
        {}, description="beginnings of tensor names and what replaces them; null: the tensor is left out"
    )


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other plugins whose code decides the result."""
    return [("models", params["net"])]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The architecture that `net` names."""
    model, options = _inner(params)
    network: nn.Module = model.build(options, classes)
    return network


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The file's tensors under the names that `rename` gives; without it, a `module.` is taken off."""
    file = Path(params["path"])
    with _foreign.reading(file, "checkpoint"):
        state = nets.read_state(file)
    return renamed(state, params["rename"] or {"module.": ""}, asked=bool(params["rename"]))


def renamed(state: nets.State, beginnings: Mapping[str, str | None], *, asked: bool = True) -> nets.State:
    """A state dict under other names.

    Args:
        state: as it was released.
        beginnings: of names -> their replacement, None: left out; the longest that fits counts.
        asked: refuse a beginning that no name has.

    Raises:
        ModelError: no name begins so.
    """
    idle = [one for one in beginnings if not any(name.startswith(one) for name in state)]
    if asked and idle:
        raise ModelError(
            f"checkpoint: no tensor's name begins with {idle[0]!r}; the first is {next(iter(state), 'none')!r}; "
            "correct `rename`"
        )
    state_dict = {}
    for name, tensor in state.items():
        old = max((one for one in beginnings if name.startswith(one)), key=len, default="")
        new = beginnings.get(old, "")
        if new is not None:
            state_dict[new + name.removeprefix(old)] = tensor
    return state_dict


def _inner(params: Mapping[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    model = registry.find("models", params["net"])
    if not hasattr(model, "build"):
        raise ModelError(f"checkpoint's net {params['net']!r} is no architecture; use convnet, torchvision, timm")
    return model, {**registry.defaults(model), **params["options"]}


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The network's input for samples."""
    model, options = _inner(params)
    return nets.prepare(model, samples, options)
