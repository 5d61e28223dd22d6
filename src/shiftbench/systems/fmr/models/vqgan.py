"""VQGAN, a generator for colour pictures: a convolutional encoder, a code of vectors out of a book, and a decoder.

The release's f=16 with 16,384 vectors is `{channels: 128, multipliers: [1, 1, 2, 2, 4], blocks: 2, attention: [4],
code: 256, vectors: 16384}`, brought by `{use: checkpoint, net: vqgan, path: FILE, options: {...}}`: names of
tensors are the release's, its discriminator (`loss.`) is left out. `decode` takes codes before quantisation; with
`quantise: true` it does as the release in training. `apart` gives the code and the rest of the picture. The head exists
because every model has one; it sees the mean code. The sides of pictures are multiples of 2 to the number of
multipliers less one; 224 px has a code of 14 x 14.

Source: Esser, Rombach and Ommer, "Taming Transformers for High-Resolution Image Synthesis", CVPR 2021, and its code
(CompVis/taming-transformers, `taming/modules/diffusionmodules/model.py`, `configs/imagenet_vqgan.yaml`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _pretrained

TASK = "classification"


class Options(declare.Options):
    channels: int = Field(32, ge=32, description="channels at full size, a multiple of 32")
    multipliers: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 2], description="channels at each size, in multiples of `channels`; each size is half of the one before"
    )
    blocks: int = Field(1, ge=1, description="blocks of the encoder at each size; the decoder has one more")
    attention: list[Annotated[int, Field(ge=0)]] = Field(
        [1], description="sizes with attention, by number; 0: full size"
    )
    code: int = Field(32, ge=1, description="channels of the code")
    vectors: int = Field(64, ge=1, description="vectors in the book")
    quantise: bool = Field(True, description="whether `decode` quantises codes first; gradients pass straight through")
    size: fields.Size = 224
    crop: fields.Crop = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="how pictures are resized"
    )


class _Block(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = _norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        if inputs != outputs:
            self.nin_shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        whole: torch.Tensor = (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + inner
        return whole


class _Attention(nn.Module):
    """One head of attention over all places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = self.norm(x)
        query, key, value = (part(normal).flatten(2).mT for part in (self.q, self.k, self.v))
        context = F.scaled_dot_product_attention(query, key, value).mT
        whole: torch.Tensor = x + self.proj_out(context.reshape(x.shape))
        return whole


class _Resize(nn.Module):
    """Half or twice the size, with a convolution whose place in the state dict is `conv`."""

    def __init__(self, channels: int, *, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv = nn.Conv2d(channels, channels, 3, 2, 0) if down else nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wider = F.pad(x, (0, 1, 0, 1)) if self.down else F.interpolate(x, scale_factor=2.0)
        output: torch.Tensor = self.conv(wider)
        return output


class _Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = (
            _Block(channels, channels),
            _Attention(channels),
            _Block(channels, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return output


class _Level(nn.Module):
    """Blocks at one size, each with attention behind it where the level has some; `resize` names what follows."""

    def __init__(self, sizes: list[tuple[int, int]], attention: bool, resize: str) -> None:  # noqa: FBT001 - a fact
        super().__init__()
        self.block = nn.ModuleList(_Block(*size) for size in sizes)
        self.attn = nn.ModuleList(_Attention(outputs) for _, outputs in sizes if attention)
        self.resize = resize
        if resize:
            setattr(self, resize, _Resize(sizes[-1][1], down=resize == "downsample"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[number](x)
        return getattr(self, self.resize)(x) if self.resize else x


class _Encoder(nn.Module):
    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        width, widths = params["channels"], _widths(params)
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList()
        for level, outputs in enumerate(widths):
            sizes = [(width, outputs), *[(outputs, outputs)] * (params["blocks"] - 1)]
            resize = "downsample" if level < last else ""
            self.down.append(_Level(sizes, level in params["attention"], resize))
            width = outputs
        self.mid = _Middle(width)
        self.norm_out, self.conv_out = _norm(width), nn.Conv2d(width, params["code"], 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        codes: torch.Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return codes


class _Decoder(nn.Module):
    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        widths = _widths(params)
        width = widths[-1]
        self.conv_in, self.mid = nn.Conv2d(params["code"], width, 3, padding=1), _Middle(width)
        levels = []
        for level, outputs in reversed(list(enumerate(widths))):
            sizes = [(width, outputs), *[(outputs, outputs)] * params["blocks"]]
            levels.append(_Level(sizes, level in params["attention"], "upsample" if level else ""))
            width = outputs
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out, self.conv_out = _norm(width), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x = self.mid(self.conv_in(codes))
        for level in reversed(self.up):
            x = level(x)
        pictures: torch.Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return pictures


class _Book(nn.Module):
    """The vectors that codes are made of, whose place in the state dict is `embedding`."""

    def __init__(self, vectors: int, code: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vectors, code)


class Vqgan(nn.Module):
    """Pictures (n, 3, h, w) in 0..255, uint8 or float, to codes (n, code, h', w') and pictures again."""

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(params), _Decoder(params)
        code = params["code"]
        self.quantize = _Book(params["vectors"], code)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(code, code, 1), nn.Conv2d(code, code, 1)
        self.head = nn.Linear(code, classes)
        self.quantise = params["quantise"]

    def codes(self, x: torch.Tensor) -> torch.Tensor:
        """Codes before quantisation."""
        codes: torch.Tensor = self.quant_conv(self.encoder(x.float() / 127.5 - 1))
        return codes

    def nearest(self, codes: torch.Tensor) -> torch.Tensor:
        """The book's nearest vectors; the gradient goes through as if they were the codes."""
        places, book = codes.movedim(1, -1), self.quantize.embedding.weight
        flat = places.reshape(-1, places.shape[-1])
        apart = flat.square().sum(1, keepdim=True) + book.square().sum(1) - 2 * flat @ book.T
        vectors = book[apart.argmin(1)].reshape(places.shape).movedim(-1, 1)
        return codes + (vectors - codes).detach()

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Pictures float32 (n, 3, h, w) in 0 to 255."""
        latent = self.nearest(codes) if self.quantise else codes
        pictures: torch.Tensor = 127.5 * (self.decoder(self.post_quant_conv(latent)).clamp(-1, 1) + 1)
        return pictures

    def apart(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and the rest of the pictures: `decode(code) + rest` is the picture."""
        codes = self.codes(x)
        return codes, x.float() - self.decode(codes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The mean code (n, code)."""
        return self.codes(x).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def adopt(self, state: State) -> State:
        """The release's state dict without its discriminator, with a head of zeros where there is none."""
        own = {name: tensor for name, tensor in state.items() if not name.startswith("loss.")}
        return own if "head.weight" in own else {**own, **_pretrained.zeros(self.head)}


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


def _widths(params: Mapping[str, Any]) -> list[int]:
    return [params["channels"] * factor for factor in params["multipliers"]]


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights.

    Raises:
        ParamsError: channels are no multiple of 32, as the normalisation in 32 groups wants.
    """
    if params["channels"] % 32:
        raise ParamsError(f"vqgan: channels = {params['channels']}; expected a multiple of 32")
    return Vqgan(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
