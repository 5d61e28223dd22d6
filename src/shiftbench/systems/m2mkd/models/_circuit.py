"""Parts of a Neural Attentive Circuit: layers that a code modulates, attention over a learned graph, read-in, read-out.

Names of tensors are those of the official code, so that its weights load.

Source: Weiss et al., "Neural Attentive Circuits", NeurIPS 2022, section 3; `attention.py`, `kernels.py`, `utils.py`,
`tokenizers.py` below `nacs/neural_compilers/model` of kamanphoebe/m2mKD at 067fa1f; ConvNeXt of Liu et al., CVPR 2022.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.systems.m2mkd.models import _graphs

Params = Mapping[str, Any]


class Modulated(nn.Module):
    """y = W (x (1 + g LayerNorm(U c))) + b, with one code c for each row or for all."""

    def __init__(self, inputs: int, outputs: int, code: int, gain: float, *, bias: bool = True) -> None:
        super().__init__()
        self.native_weight = nn.Parameter(torch.empty(outputs, inputs))
        nn.init.kaiming_uniform_(self.native_weight, a=math.sqrt(5))
        self.native_bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = nn.Linear(code, inputs, bias=False)
        self.scale_gain = nn.Parameter(torch.tensor(float(gain)))

    def forward(self, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Map (..., u, before) and codes (u or 1, code) to (..., u, after)."""
        scale = 1 + self.scale_gain * F.layer_norm(self.scale(codes), [x.shape[-1]])
        return F.linear(x * scale, self.native_weight, self.native_bias)


class LayerScale(nn.Module):
    """A factor for each channel."""

    def __init__(self, width: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), float(start)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., width)."""
        return self.gamma * x


class Kernel(nn.Module):
    """log K_uv = -d_uv / b, minus infinity where d_uv > truncation (straight through), normalised over keys.

    In training an edge is drawn: RelaxedBernoulli(K, temperature), one draw for each sample.
    """

    def __init__(self, truncation: float | None, temperature: float | None) -> None:
        super().__init__()
        self.truncation, self.temperature = truncation, temperature
        self.bandwidth = nn.Parameter(torch.tensor(1.0))

    def forward(self, one: torch.Tensor, other: torch.Tensor, samples: int) -> torch.Tensor:
        """Log affinities (u, v), or (samples, u, v) of drawn edges."""
        far = _graphs.distances(one, other)
        log = -far / self.bandwidth
        if self.truncation is not None:
            cut = torch.where(far > self.truncation, -torch.inf, log)
            log = log + (cut - log).detach()
        if self.training and self.temperature is not None:
            log = self._sample_edges(log, samples)
        return log - log.logsumexp(-1, keepdim=True)

    def _sample_edges(self, log: torch.Tensor, samples: int) -> torch.Tensor:
        odds = log.exp()
        odds = odds + (odds.clamp(0, 1) - odds).detach()
        of = torch.distributions.RelaxedBernoulli(torch.tensor(self.temperature, device=log.device), probs=odds)
        return of.rsample(torch.Size([samples])).log()


class CircuitAttention(nn.Module):
    """Latents that receive attend to latents that send; what both are to each other is in codes and signatures."""

    def __init__(self, params: Params, *, kernel: tuple[float | None, float | None], shared: bool) -> None:
        super().__init__()
        width, code, inner = params["width"], params["width"], params["heads"] * params["head"]
        gain = params["gain"]
        self.heads = params["heads"]
        self.kernel = Kernel(*kernel)
        self.receiver_layernorm = nn.LayerNorm(width)
        self.sender_layernorm = None if shared else nn.LayerNorm(width)
        self.query_compiler, self.key_compiler, self.value_compiler = (
            Modulated(width, inner, code, gain, bias=False) for _ in range(3)
        )
        self.exit_layer = Modulated(inner, width, code, gain)
        self.layer_scale = LayerScale(width, params["layer_scale"])

    def forward(
        self,
        states: torch.Tensor,
        codes: torch.Tensor,
        sent: torch.Tensor,
        sent_codes: torch.Tensor,
        log: torch.Tensor | None,
    ) -> torch.Tensor:
        """Messages (n, u, width) to states (n, u, width) of what is sent (n, v, width)."""
        own = self.receiver_layernorm(states)
        other = (self.sender_layernorm or self.receiver_layernorm)(sent)
        query, key, value = (
            _heads(layer(x, c), self.heads)
            for layer, x, c in (
                (self.query_compiler, own, codes),
                (self.key_compiler, other, sent_codes),
                (self.value_compiler, other, sent_codes),
            )
        )
        mask = None if log is None else (log if log.ndim == 2 else log[:, None])
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        message: torch.Tensor = self.layer_scale(self.exit_layer(_flat(context), codes))
        return message


class ReadInAttention(nn.Module):
    """Latents attend to tokens of an image; keys and values are compiled again for the code of each latent."""

    def __init__(self, params: Params, inputs: int) -> None:
        super().__init__()
        width, inner, gain = params["width"], params["heads"] * params["head"], params["gain"]
        self.heads = params["heads"]
        self.sender_layernorm, self.receiver_layernorm = nn.LayerNorm(inputs), nn.LayerNorm(width)
        self.query_compiler = Modulated(width, inner, width, gain, bias=False)
        self.key_compiler, self.value_compiler = (Modulated(inputs, inner, width, gain, bias=False) for _ in range(2))
        self.exit_layer = Modulated(inner, width, width, gain)
        self.layer_scale = LayerScale(width, 1.0)

    def forward(self, states: torch.Tensor, codes: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """States (n, u, width) plus what they read of tokens (n, v, before)."""
        normal = self.sender_layernorm(tokens)[:, :, None].expand(-1, -1, states.shape[1], -1)
        key, value = (
            layer(normal, codes).unflatten(-1, (self.heads, -1)).permute(0, 3, 2, 1, 4)
            for layer in (self.key_compiler, self.value_compiler)
        )  # (n, h, u, v, c)
        query = _heads(self.query_compiler(self.receiver_layernorm(states), codes), self.heads)
        weights = (query[..., None, :] * key).sum(-1) / math.sqrt(query.shape[-1])
        reading = (weights.softmax(-1)[..., None] * value).sum(-2)
        out: torch.Tensor = states + self.layer_scale(self.exit_layer(_flat(reading), codes))
        return out


class FeedForward(nn.Module):
    """LayerNorm, a modulated layer, GEGLU, another one; residual, with a layer scale."""

    def __init__(self, params: Params, drop: float) -> None:
        super().__init__()
        width = params["width"]
        hidden = round(params["capacity"] * width)
        self.layernorm = nn.LayerNorm(width)
        self.ffn = nn.ModuleDict(
            {
                "0": Modulated(width, 2 * hidden, width, params["gain"]),
                "2": Modulated(hidden, width, width, params["gain"]),
            }
        )
        self.layer_scale = LayerScale(width, params["layer_scale"])
        self.drop = drop

    def forward(self, states: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """States (n, u, width)."""
        inner, gates = self.ffn["0"](self.layernorm(states), codes).chunk(2, -1)
        update = self.layer_scale(self.ffn["2"](inner * F.gelu(gates), codes))
        return states + drop_residual(update, self.drop, learning=self.training)


class ReadIn(nn.Module):
    """Attention to the tokens of an image, then a feed-forward."""

    def __init__(self, params: Params, inputs: int) -> None:
        super().__init__()
        self.read_in_attention, self.ffn = ReadInAttention(params, inputs), FeedForward(params, 0.0)

    def forward(self, states: torch.Tensor, codes: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """States (n, u, width)."""
        out: torch.Tensor = self.ffn(self.read_in_attention(states, codes, tokens), codes)
        return out


class Propagator(nn.Module):
    """Attention over the graph and a feed-forward; the read-out is one whose attention has no residual."""

    def __init__(self, params: Params, *, last: bool) -> None:
        super().__init__()
        graph = (None, None) if last else (params["truncation"], params["temperature"])
        self.latent_attention = CircuitAttention(params, kernel=graph, shared=not last)
        self.drop = 0.0 if last else params["drop_path"]
        self.ffn, self.last = FeedForward(params, self.drop), last

    def forward(
        self,
        states: torch.Tensor,
        codes: torch.Tensor,
        sent: torch.Tensor,
        sent_codes: torch.Tensor,
        log: torch.Tensor | None,
    ) -> torch.Tensor:
        """States (n, u, width)."""
        update = self.latent_attention(states, codes, sent, sent_codes, log)
        if not self.last:
            update = states + drop_residual(update, self.drop, learning=self.training)
        out: torch.Tensor = self.ffn(update, codes)
        return out


class Seeder(nn.Module):
    """First states of latents out of their codes: normal, with a learned mean and spread, at test the mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(width)
        self.code_to_state_mu, self.code_to_state_logvar = (nn.Linear(width, width), nn.Linear(width, width))
        nn.init.constant_(self.code_to_state_logvar.bias, -5.0)

    def forward(self, codes: torch.Tensor, samples: int) -> torch.Tensor:
        """States (samples, u, width) of codes (u, width)."""
        normal = self.layernorm(codes)
        mean: torch.Tensor = self.code_to_state_mu(normal).expand(samples, -1, -1)
        if not self.training:
            return mean
        spread: torch.Tensor = (0.5 * self.code_to_state_logvar(normal)).exp()
        return mean + spread * torch.randn_like(mean)


class Tokeniser(nn.Module):
    """The first stages of ConvNeXt-T and learned positions: images (n, c, h, w) to tokens (n, t, width / 2 + grid)."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        widths = [params["width"] // 4, params["width"] // 2]
        stem = nn.Sequential(nn.Conv2d(params["channels"], widths[0], 4, 4), ChannelNorm(widths[0]))
        shrink = nn.Sequential(ChannelNorm(widths[0]), nn.Conv2d(widths[0], widths[1], 2, 2))
        stages = [
            nn.Sequential(*(ConvNextBlock(width) for _ in range(depth)))
            for width, depth in zip(widths, params["convnext"], strict=True)
        ]
        self.backbone = nn.ModuleDict(
            {"downsample_layers": nn.ModuleList([stem, shrink]), "stages": nn.ModuleList(stages)}
        )
        side = params["size"] // 8
        self.positional_grid = nn.ParameterDict({"grid": torch.randn(params["grid"], side, side)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens."""
        parts: Any = self.backbone
        for shrink, stage in zip(parts["downsample_layers"], parts["stages"], strict=True):
            x = stage(shrink(x))
        grid = self.positional_grid["grid"].expand(len(x), -1, -1, -1)
        return torch.cat([x, grid], 1).flatten(2).transpose(1, 2)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of maps (n, c, h, w)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps of the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvNextBlock(nn.Module):
    """7x7 depthwise convolution, LayerNorm, two linear layers around a GELU; residual, with a layer scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))
        for part in (self.dwconv, self.pwconv1, self.pwconv2):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps of the same shape."""
        inner = self.norm(self.dwconv(x).movedim(1, -1))
        update = self.gamma * self.pwconv2(F.gelu(self.pwconv1(inner)))
        out: torch.Tensor = x + update.movedim(-1, 1)
        return out


def drop_residual(residual: torch.Tensor, rate: float, *, learning: bool) -> torch.Tensor:
    """Residuals (n, ...) of which a share is left out while training, the rest grown to match."""
    if not learning or not rate:
        return residual
    keep = torch.rand(len(residual), *[1] * (residual.ndim - 1), device=residual.device) >= rate
    return residual * keep / (1 - rate)


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    split: torch.Tensor = x.unflatten(-1, (heads, -1))
    return split.transpose(1, 2)


def _flat(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(1, 2).flatten(2)
