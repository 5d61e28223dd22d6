"""Any classifier of timm by its name: `mine: {use: timm, name: resnet50.a1_in1k}`; needs shiftbench[timm].

The trainer `pretrained` downloads the checkpoint from the hub. `size`, `crop`, `interpolation`, `mean` and `std` are
timm's usual ones; `timm.data.resolve_model_data_config` gives those of a network that needs others.

A checkpoint without a head (`vit_base_patch16_224.dino`, `.mae`) gets one of zeros, for `linear_probe`. Masked
autoencoders need `pool: mean`. Features are those after the final norm, whose weights are the release's. He et al.
(CVPR 2022) normalise again after the mean when they fine-tune, which a frozen backbone has no weights for.
Source: Wightman, PyTorch Image Models, 2019, doi:10.5281/zenodo.4414861.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _optional, _pretrained

TITLE = "timm model"
TASK = "classification"
PRETRAINED_ON = "imagenet"
POOLS: dict[str, dict[str, object]] = {
    "": {},
    "token": {"global_pool": "token"},
    "mean": {"global_pool": "avg", "fc_norm": False},
}
"""Option `pool` -> timm's options; without `fc_norm: False` its mean has a norm of its own, which no release brings."""


class Options(declare.Options):
    name: str = Field("resnet18", description="timm's name of the model")
    pool: Literal["", "token", "mean"] = Field(
        "",
        description="features of a vision transformer: class token, or mean of the patches; empty: the network's own",
    )
    size: fields.Size = 224
    crop: fields.Crop = 0.875
    interpolation: _images.Interpolation = "bicubic"
    mean: fields.Mean = Field(list(_pretrained.IMAGENET_MEAN))
    std: fields.Std = Field(list(_pretrained.IMAGENET_STD))


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights."""
    name, pool = params["name"], params["pool"]
    if pool not in POOLS:
        raise ModelError(f"timm: pool is {pool!r}; {suggest(pool, POOLS)}")
    try:
        network = _create(name, num_classes=classes, **POOLS[pool])
    except TypeError as error:
        raise ModelError(
            f"timm: {name} has no pool {pool!r} ({error}); leave it out for a net without tokens"
        ) from None
    return _pretrained.Split(network, classes, params["mean"], params["std"])


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict that timm downloads from the hub.

    Raises:
        ModelError: the hub cannot be reached, and the checkpoint is not in its cache.
    """
    _check_hub(params["name"])
    state: nets.State = _create(params["name"], pretrained=True).state_dict()
    return state


def _check_hub(name: str) -> None:
    """Refuse a checkpoint that is not cached if the hub cannot be reached: its own client tries for minutes."""
    timm = _optional.package("timm", "timm")
    hub = _optional.package("huggingface_hub", "timm")
    settings = timm.models.get_pretrained_cfg(name) if timm.is_model(name) else None
    if settings is None or not settings.hf_hub_id:
        return
    files = ("model.safetensors", "pytorch_model.bin")
    if any(isinstance(hub.try_to_load_from_cache(settings.hf_hub_id, file), str) for file in files):
        return
    try:
        hub.get_session().head(hub.constants.ENDPOINT, timeout=_PATIENCE)
    except Exception as error:  # noqa: BLE001  # of any client
        raise ModelError(
            f"timm's checkpoint of {name!r} is not on this machine, and {hub.constants.ENDPOINT} cannot be reached "
            f"({type(error).__name__}); a file that you have is `{{use: checkpoint, path: FILE, net: timm, "
            f"options: {{name: {name}}}}}`"
        ) from None


_PATIENCE = 5.0  # seconds


def _create(name: str, **options: object) -> nn.Module:
    timm = _optional.package("timm", "timm")
    if not timm.is_model(name):
        raise ModelError(f"timm has no net {name!r}; {suggest(name, timm.list_models())}")
    network: nn.Module = timm.create_model(name, **options)
    return network


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
