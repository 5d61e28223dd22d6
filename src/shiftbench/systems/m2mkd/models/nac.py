"""Neural Attentive Circuit: latents with learned signatures attend to each other over a graph that they learn.

Tokens of an image are read by `input` latents, eight propagators pass messages from input and mediator latents to the
mediators, and output latents read both; their mean, weighted by how sure each is, gives the logits. A latent has a
signature (who is close to whom, from a graph prior at first: `prior`, `graph`, fitted in `fit` steps; `_graphs.py`), a
code (what it computes) and a state. As a student of m2mKD (`stitch`: the meta's width) its ten modules are read-in,
propagators and read-out, each between linear maps, on *dense* attention and one random code for all tokens; code and
first state are kept with the weights (`fixed_`).

Source: Weiss et al., "Neural Attentive Circuits", NeurIPS 2022; Lo et al., m2mKD, 2024, arXiv:2402.16918, section 4.1;
`nacstudent.py`, `configs/nac_*.yml` of kamanphoebe/m2mKD. Defaults are nac_scale_tinyimnet; on ImageNet `size: 224,
width: 512, heads: 8, capacity: 1.0, inputs: 192, mediators: 768`. Differs: at test the first states are their means and
the confidence is a softmax (there both are drawn); a student has one first state (there one for each place in a batch).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _pretrained
from shiftbench.systems.m2mkd.models import _blocks, _circuit, _graphs

TASK = "classification"


class Options(declare.Options):
    size: fields.Size = 64
    channels: int = Field(3, ge=1, description="channels of the input")
    crop: fields.Crop = 0.875
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bicubic", description="how colour images are resized"
    )
    mean: fields.Mean = Field(list(_pretrained.IMAGENET_MEAN))
    std: fields.Std = Field(list(_pretrained.IMAGENET_STD))
    width: int = Field(384, ge=4, description="numbers of a code and of a state")
    signature: int = Field(64, ge=1, description="numbers of a signature")
    inputs: int = Field(64, ge=1, description="latents that read the image")
    mediators: int = Field(256, ge=1, description="latents that pass messages")
    outputs: int = Field(64, ge=1, description="latents that give the logits")
    propagators: int = Field(8, ge=1, description="layers that pass messages")
    heads: int = Field(6, ge=1, description="heads of attention")
    head: int = Field(64, ge=1, description="numbers of a head")
    capacity: float = Field(2.0, gt=0, description="hidden units of an MLP, relative to `width`")
    gain: float = Field(0.1, ge=0, description="gain of the weights that codes modulate, at the beginning")
    layer_scale: float = Field(0.1, ge=0, description="weight of a layer's result, at the beginning")
    drop_path: float = Field(0.1, ge=0, lt=1, description="probability that a sample skips a layer in training")
    code_noise: float = Field(0.05, ge=0, description="noise of codes in training, relative to their size")
    truncation: float = Field(0.9, ge=0, description="distance of signatures from which on latents do not attend")
    temperature: float = Field(0.5, gt=0, description="temperature of attention over signatures")
    hinge: float = Field(0.4, ge=0, description="distance of signatures below which a pair is penalised")
    convnext: list[Annotated[int, Field(ge=1)]] = Field([3, 3], description="ConvNeXt blocks of the two stages before")
    grid: int = Field(64, ge=1, description="numbers of a position")
    prior: Literal["scale_free", "planted_partition", "ring_of_cliques", "erdos_renyi"] = Field(
        "scale_free", description="graph of the first signatures"
    )
    graph: dict[str, Any] = Field({"m": 2}, description="options of this graph")
    fit: int = Field(1000, ge=0, description="steps in which signatures are fitted to the graph")
    stitch: _blocks.StitchWidth = 0


class Circuit(nn.Module):
    """Images (n, channels, size, size) in 0..255, uint8 or float, to features (n, width) and logits."""

    mean: torch.Tensor
    std: torch.Tensor
    fixed_codes: torch.Tensor
    fixed_states: torch.Tensor
    input_latents: nn.ParameterDict
    mediator_latents: nn.ParameterDict
    output_latents: nn.ParameterDict
    propagators: Any
    read_out: Any

    def __init__(self, params: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.params = dict(params)
        width, count = params["width"], params["propagators"]
        self.depths = (1,) * (count + 2)
        self.input_tokenizer = _circuit.Tokeniser(params)
        for kind in ("input", "mediator", "output"):
            setattr(self, f"{kind}_latents", self._latents(params[f"{kind}s"]))
        self.latent_seeder = _circuit.Seeder(width)
        self.read_in = _circuit.ReadIn(params, width // 2 + params["grid"])
        self.propagators = nn.ModuleList(_circuit.Propagator(params, last=False) for _ in range(count))
        self.read_out = _circuit.Propagator(params, last=True)
        self.confidence_scorer = nn.Linear(width, 1)
        self.head = nn.Linear(width, classes)
        self._add_stitches(params["stitch"], width)
        for name in ("mean", "std"):
            levels = torch.tensor(params[name], dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, levels, persistent=False)

    def _latents(self, count: int) -> nn.ParameterDict:
        sizes = {"signatures_": self.params["signature"], "codes_": self.params["width"]}
        return nn.ParameterDict({name: torch.randn(count, size) for name, size in sizes.items()})

    def _add_stitches(self, other: int, width: int) -> None:
        if not other:
            return
        last = len(self.depths) - 1
        self.pre_stitch = nn.ModuleDict({f"{i}": nn.Linear(other, width) for i in range(1, last + 1)})
        self.post_stitch = nn.ModuleDict({f"{i}": nn.Linear(width, other) for i in range(last)})
        self.register_buffer("fixed_codes", torch.randn(len(self.depths), 1, width))
        self.register_buffer("fixed_states", torch.randn(len(self.depths), 1, 1, width))

    def settle(self, seed: int) -> None:
        """Give the mediators' signatures those of the graph prior, drawn by a seed."""
        nodes = self.params["mediators"]
        words = RandomStream(seed, "nac", self.params["prior"], "graph")
        graph = _graphs.adjacency(self.params["prior"], nodes, self.params["graph"], words)
        vectors = _graphs.signatures(graph, self.params["signature"], steps=self.params["fit"])
        self.mediator_latents["signatures_"].data.copy_(vectors)

    def penalty(self) -> torch.Tensor:
        """Minus the sum of distances below `hinge` over pairs of latents, which keeps signatures apart."""
        names = [f"{kind}_latents" for kind in ("input", "mediator", "output")]
        all_of_them = torch.cat([getattr(self, name)["signatures_"] for name in names])
        far = _graphs.distances(all_of_them, all_of_them)
        pairs = far[torch.ones_like(far, dtype=torch.bool).tril(-1)]
        return -pairs[pairs < self.params["hinge"]].sum()

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (n, t, width / 2 + grid) of images."""
        grid: torch.Tensor = self.input_tokenizer((x.float() / 255 - self.mean) / self.std)
        return grid

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The pooled state of the output latents, (n, width)."""
        tokens = self.tokens(x)
        latents = [getattr(self, f"{kind}_latents") for kind in ("input", "mediator", "output")]
        inputs, mediators, outputs = (self._noisy(one["codes_"]) for one in latents)
        input_states, states, out = (self.latent_seeder(self._noisy(one["codes_"]), len(x)) for one in latents)
        marks, own, last = (one["signatures_"] for one in latents)
        input_states = self.read_in(input_states, inputs, tokens)
        sent_marks, sent_codes = torch.cat([marks, own]), torch.cat([inputs, mediators])
        for step in self.propagators:
            log = step.latent_attention.kernel(own, sent_marks, len(x))
            states = step(states, mediators, torch.cat([input_states, states], 1), sent_codes, log)
        log = self.read_out.latent_attention.kernel(last, sent_marks, len(x))
        out = self.read_out(out, outputs, torch.cat([input_states, states], 1), sent_codes, log)
        return self.pooled(out)

    def _noisy(self, codes: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return codes
        reach = self.params["code_noise"] * codes.detach().abs()
        noisy: torch.Tensor = codes + (2 * torch.rand_like(codes) - 1) * reach
        return noisy

    def pooled(self, states: torch.Tensor) -> torch.Tensor:
        """The mean of states (n, u, width), weighted by how sure each is (softmax, Gumbel's while training)."""
        sure = self.confidence_scorer(states)[..., 0]
        weights = F.gumbel_softmax(sure, dim=-1) if self.training else sure.softmax(-1)
        return torch.einsum("nuc,nu->nc", states, weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        logits: torch.Tensor = self.head(self.features(x))
        return logits

    def run(self, x: torch.Tensor, start: int, end: int) -> torch.Tensor:
        """Output of one student module, `start`, for images or the meta network's tokens (n, t, stitch).

        Raises:
            ModelError: several modules are asked for, which have no stitches between them that fit.
        """
        if end != start + 1:
            raise ModelError(f"modules {start} to {end - 1} of a circuit are no chain; ask for one")
        at, last = str(start), len(self.depths) - 1
        codes = self.fixed_codes[start]
        inputs = self.pre_stitch[at](x) if start else None
        first = self.fixed_states[start].expand(len(x), -1, -1)
        if start == 0:
            entry: torch.Tensor = self.post_stitch[at](self.read_in(first, codes, self.tokens(x)))
            return entry
        if start < last:
            states = self.propagators[start - 1](inputs, codes, inputs, codes, None)
            output: torch.Tensor = self.post_stitch[at](states)
            return output
        out = self.pooled(self.read_out(first, codes, inputs, codes, None))
        logits: torch.Tensor = self.head(out)
        return logits

    def owner(self, name: str) -> int:
        """Number of the module that a tensor belongs to; -1 for latents and their seeder."""
        first, _, rest = name.partition(".")
        if first in ("pre_stitch", "post_stitch"):
            return int(rest.partition(".")[0])
        if first == "propagators":
            return int(rest.partition(".")[0]) + 1
        if first in ("input_tokenizer", "read_in"):
            return 0
        return len(self.depths) - 1 if first in ("read_out", "confidence_scorer", "head") else -1

    def adopt(self, state: State) -> State:
        """A released state dict under the names here."""
        tensors = {}
        for old, tensor in state.items():
            name = old.removeprefix("module.").removeprefix("latent_graphs.0.")
            inner = name.replace("output_tokenizer.to_logits.", "head.")
            tensors[inner.removeprefix("output_tokenizer.")] = tensor
        return tensors


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The network with fresh weights from torch's generator, signatures normal until `settle`."""
    return Circuit(params, classes)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Images uint8 (n, 3, size, size)."""
    return _pretrained.prepare_batch(samples, params)
