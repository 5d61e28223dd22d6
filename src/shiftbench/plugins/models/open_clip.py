"""CLIP and its relatives by name, with both towers: `mine: {use: open_clip, name: ViT-B-32}`; needs open_clip_torch.

The trainer `pretrained` downloads the checkpoint, `zero_shot` makes a classifier of class names from it, `linear_probe`
one from labels. Features are raw, not of length 1, as a probe takes them. `quick_gelu: true` is wrong for ViT-H-14 of
LAION.

Source: Radford et al., ICML 2021, https://arxiv.org/abs/2103.00020; Ilharco et al., OpenCLIP,
doi:10.5281/zenodo.5143773. Input: shorter side to `size`, bilinear, middle square (COOkeD's common transform; OpenAI's
own is bicubic), CLIP's mean and std.
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _pairs, _pretrained

TITLE = "OpenCLIP"
TASK = "classification"
PRETRAINED_ON = "imagenet"


class Options(declare.Options):
    name: str = Field("ViT-B-32", description="open_clip's name of the architecture")
    weights: str = Field(
        "openai", description="open_clip's name of the checkpoint, such as openai or laion2b_s32b_b79k"
    )
    quick_gelu: bool = Field(True, description="OpenAI's faster GELU, which checkpoints of OpenAI need")
    size: fields.Size = 224
    crop: fields.Crop = 1.0
    interpolation: _images.Interpolation = "bilinear"
    mean: fields.Mean = Field([0.48145466, 0.4578275, 0.40821073])
    std: fields.Std = Field([0.26862954, 0.26130258, 0.27577711])


class OpenClip(_pairs.Pairs):
    """Images (n, 3, size, size) in 0..255 to raw features (n, d); both towers are in `clip`."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, clip: Any, params: Mapping[str, Any], classes: int) -> None:
        super().__init__(_width(clip), classes)
        self.clip = clip
        for name in ("mean", "std"):
            value = 255 * torch.tensor(params[name]).reshape(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)

    @property
    def scale(self) -> torch.Tensor:
        """The trained factor of cosines."""
        scale: torch.Tensor = self.clip.logit_scale.exp()
        return scale

    def image(self, x: torch.Tensor) -> torch.Tensor:
        """Raw features (n, d)."""
        raw: torch.Tensor = self.clip.encode_image((x.float() - self.mean) / self.std)
        return raw

    def adopt(self, state: nets.State) -> nets.State:
        """The state dict of open_clip's model under this module's names, with a head of zeros."""
        if "head.weight" in state:
            return state
        own = {f"clip.{name}": tensor for name, tensor in state.items()}
        return _pairs.on_raw({**own, **_pretrained.zeros(self.head)})


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights."""
    return OpenClip(_create(params, None), params, classes)


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The state dict that open_clip downloads."""
    state: nets.State = _create(params, params["weights"]).state_dict()
    return state


def texts(
    network: OpenClip, prompts: Sequence[str], params: Mapping[str, Any], inputs: Mapping[Ref, Path]
) -> torch.Tensor:
    """The text tower's vectors (n, d), not normalised."""
    tokenize = _package().get_tokenizer(params["name"])
    device = network.clip.logit_scale.device
    vectors: torch.Tensor = network.clip.encode_text(tokenize(list(prompts)).to(device))
    return vectors


def curated(classes: Sequence[str]) -> list[str]:
    """CLIP's names of ImageNet's thousand classes, in their order.

    Raises:
        ModelError: there are not a thousand classes.
    """
    names: list[str] = _package().IMAGENET_CLASSNAMES
    if len(names) != len(classes):
        raise ModelError(
            f"open_clip has curated names of ImageNet's {len(names)} classes, and these are {len(classes)}; set "
            "`names: classes`"
        )
    return names


def with_head(state: nets.State) -> nets.State:
    """A state dict whose new head takes raw features."""
    return _pairs.on_raw(state)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)


def _create(params: Mapping[str, Any], weights: str | None) -> Any:
    package = _package()
    known = package.list_models()
    if params["name"] not in known:
        raise ModelError(f"open_clip has no model {params['name']!r}; {suggest(params['name'], known)}")
    options = {"force_quick_gelu": params["quick_gelu"]}
    return package.create_model(params["name"], pretrained=weights, **options)


def _package() -> ModuleType:
    try:
        return importlib.import_module("open_clip")
    except ModuleNotFoundError as error:
        if error.name != "open_clip":
            raise
        raise ModelError(
            "this model needs open_clip, which is not installed; run `pip install open_clip_torch`"
        ) from None


def _width(clip: Any) -> int:
    """The number of features of a model's image tower: the text projection has as many columns."""
    width: int = clip.text_projection.shape[-1]
    return width
