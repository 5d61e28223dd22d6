"""Vision transformer that is cut into modules, dense or with experts: teacher, meta network and V-MoE of m2mKD.

The first module owns patch embedding, class token and positions, the last one final norm and head. With `experts`, a
block's MLP is a mixture (`_blocks.py`). With `stitch`, module i of L begins with a map from the meta network's width
(not the first) and ends with one to it (not the last), as m2mKD trains it. The paper has a class token (`pool: class`).

Source: Lo et al., "m2mKD: Module-to-Module Knowledge Distillation for Modular Transformers", 2024, arXiv:2402.16918,
section 3, and `vmoe.py`, `deep_incubation/timm/models/vision_transformer.py` of kamanphoebe/m2mKD at 067fa1f.
V-MoE-Base: `width: 768, depths: [3, 3, 3, 3], heads: 12, mlp: 4, experts: 8`; DeiT-Large (`width: 1024, depths: [6, 6,
6, 6], heads: 16`) and DeiT-Huge (`patch: 14, width: 1280, depths: [4, 3, 3, 3, 3, 3, 3, 3, 3, 4], heads: 16, qkv_bias:
false, eps: 1.0e-5`) have metas of one block for each module. Released files load: tensors under `stages.` are doubles,
and fastmoe keeps an expert each under a name of its own. Small by default: 28 px, grey.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _images, _pretrained
from shiftbench.systems.m2mkd.models import _blocks

TASK = "classification"
POOLS = ("class", "mean")
STITCHES = ("pre_stitch", "post_stitch")


class Options(declare.Options):
    size: fields.Size = 28
    channels: Literal[1, 3] = Field(1, description="channels of the input: 1, grey; 3, colour")
    crop: fields.Crop = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bicubic", description="how colour images are resized"
    )
    mean: fields.Mean = Field([0.5])
    std: fields.Std = Field([0.5])
    patch: int = Field(7, ge=1, description="side of a patch, in pixels; `size` is a multiple")
    width: int = Field(48, ge=1, description="numbers of a token")
    depths: list[Annotated[int, Field(ge=1)]] = Field([1, 1, 1], description="blocks of each module")
    heads: int = Field(4, ge=1, description="heads of attention")
    mlp: int = Field(2, ge=1, description="hidden units of a block's MLP, in multiples of `width`")
    qkv_bias: bool = Field(True, description="whether queries, keys and values have biases")
    eps: float = Field(1e-6, gt=0, description="small number of the layer norms")
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="share of samples that skip the last block; 0 at the first block"
    )
    pool: Literal["class", "mean"] = Field("class", description="features: the class token, or the mean of the tokens")
    experts: int = Field(0, ge=0, description="experts of each block's MLP; 0: a dense MLP")
    top_k: int = Field(2, ge=1, description="experts that see a token")
    stitch: _blocks.StitchWidth = 0
    spread: float = Field(0.02, ge=0, description="standard deviation of weights, token and positions at the beginning")


class ModularTransformer(nn.Module):
    """Images (n, channels, size, size) in 0..255, uint8 or float, to features (n, width) and logits.

    Attributes:
        depths: blocks of each module.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        width, patch = params["width"], params["patch"]
        self.depths, self.pool = tuple(params["depths"]), params["pool"]
        self.ends = (0, *accumulate(self.depths))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(params["channels"], width, patch, patch)})
        cls = self.pool == "class"
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if cls else None
        tokens = (params["size"] // patch) ** 2 + cls
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
        rates = np.linspace(0, params["drop_path"], self.ends[-1])
        self.blocks = nn.ModuleList(
            _blocks.Block(params, float(rate), self._stitches(at, params["stitch"])) for at, rate in enumerate(rates)
        )
        self.norm = nn.LayerNorm(width, eps=params["eps"])
        self.head = nn.Linear(width, classes)
        self.register_buffer("mean", _levels(params["mean"]), persistent=False)
        self.register_buffer("std", _levels(params["std"]), persistent=False)
        self._begin(params["spread"])

    def _stitches(self, block: int, width: int) -> tuple[int, int]:
        """The meta's width where a module but the first begins, and where one but the last ends; else 0."""
        inner = self.ends[1:-1]
        return width * (block in inner), width * (block + 1 in inner)

    def _begin(self, spread: float) -> None:
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=spread)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.trunc_normal_(self.pos_embed, std=spread)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=spread)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (n, t, width) of images."""
        patches = self.patch_embed["proj"]((x.float() / 255 - self.mean) / self.std)
        tokens = patches.flatten(2).transpose(1, 2)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        return tokens + self.pos_embed  # type: ignore[no-any-return]

    def pooled(self, tokens: torch.Tensor) -> torch.Tensor:
        """Features (n, width) of the last block's tokens."""
        normal: torch.Tensor = self.norm(tokens)
        return normal[:, 0] if self.pool == "class" else normal.mean(1)

    def run(self, x: torch.Tensor, start: int, end: int) -> torch.Tensor:
        """Output of modules start, ..., end - 1 for images (start 0) or tokens: tokens, or logits (end L)."""
        return self._walk(x, self.ends[start], self.ends[end], start == 0, end == len(self.depths))

    def through(self, x: torch.Tensor, blocks_of: int, at: int) -> torch.Tensor:
        """Output of module `at` with the blocks of module `blocks_of`."""
        first, last = self.ends[blocks_of], self.ends[blocks_of + 1]
        return self._walk(x, first, last, at == 0, at == len(self.depths) - 1)

    def _walk(self, x: torch.Tensor, first: int, last: int, *ends: bool) -> torch.Tensor:
        begins, closes = ends
        tokens = self.embed(x) if begins else x
        for block in self.blocks[first:last]:
            tokens = block(tokens)
        return self.head(self.pooled(tokens)) if closes else tokens

    def owner(self, name: str) -> int:
        """Number of the module that a tensor belongs to."""
        first, _, rest = name.partition(".")
        if first == "blocks":
            block = int(rest.partition(".")[0])
            return sum(block >= end for end in self.ends[1:])
        return 0 if first in ("patch_embed", "cls_token", "pos_embed") else len(self.depths) - 1

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Pooled features (n, width)."""
        tokens = self.embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        return self.pooled(tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        return self.run(x, 0, len(self.depths))

    def adopt(self, state: State) -> State:
        """A released state dict under the names here, experts of a block in one tensor."""
        tensors: dict[str, Any] = {}
        for old, tensor in state.items():
            name = old.removeprefix("module.")
            prefix, separator, inner = name.partition(".moe.experts.")
            if separator:  # fastmoe: moe.experts.E.htoh4.weight (1, out, in)
                number, _, rest = inner.partition(".")
                tensors.setdefault(f"{prefix}.moe.{rest}", {})[int(number)] = tensor
            elif not name.startswith("stages."):
                tensors[name.replace(".moe.gate.gate.", ".moe.gate.")] = tensor
        return {
            name: torch.cat([one[at] for at in sorted(one)]) if isinstance(one, dict) else one
            for name, one in tensors.items()
        }


def _levels(values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1)


def is_stitch(name: str) -> bool:
    """Whether a tensor belongs to a stitch map."""
    return any(part in STITCHES for part in name.split("."))


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator.

    Raises:
        ParamsError: `pool` is neither of its values, or the size is no multiple of the patch.
    """
    if params["pool"] not in POOLS:
        raise ParamsError(f"pool is {params['pool']!r}; {suggest(params['pool'], POOLS)}")
    if params["size"] % params["patch"]:
        raise ParamsError(f"size {params['size']} is no multiple of patch {params['patch']}; expected whole patches")
    return ModularTransformer(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, channels, size, size): grey, or colour resized and cut as torchvision's networks are given."""
    if params["channels"] == 1:
        return _images.grey_batch(samples, params["size"])
    return _pretrained.prepare_batch(samples, params)
