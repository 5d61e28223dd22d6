"""A model of images and texts that keeps negative labels and learned prompts in addition to its head.

    models:
      prompted: {use: prompted, encoder: dual_encoder, negatives: 100, context: 4}
      clip_prompted: {use: prompted, encoder: open_clip, options: {name: ViT-B-16}, negatives: 10000}

The head holds scale * T of the ID names, as `zero_shot` makes it, and so logits and accuracy are over ID names alone.
`negatives` (N, d) holds the same of the negative labels, `words` (N, 64) their names in UTF-8, ended by zeros, and
`contexts` (2, M, width) the learned token vectors of ID names and of negative labels; zeros where prompts are written
by hand. Trained by `neglabel` (nothing is learned) and `lapt`; scored by the detector `neglabel`.

Source: Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models", ICLR 2024
(arXiv:2403.20078); Zhang et al., LAPT, ECCV 2024 (arXiv:2407.08966).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.lapt.models import _towers

TASK = "classification"
LONGEST = 64  # bytes of a word


class Options(declare.Options):
    encoder: str = Field("dual_encoder", description="model of images and texts that is extended")
    options: dict[str, Any] = Field({}, description="options of this model")
    negatives: int = Field(100, ge=1, description="negative labels")
    context: int = Field(4, ge=1, description="token vectors of a learned prompt")
    width: int = Field(384, ge=1, description="numbers of a token vector")


def inner(params: Mapping[str, Any]) -> tuple[ModuleType, dict[str, Any]]:
    """The file of the model inside, and its options.

    Raises:
        ParamsError: fewer than one negative label or token of context.
    """
    _check(params)
    module = registry.find("models", params["encoder"])
    return module, {**registry.defaults(module), **params["options"]}


def _check(params: Mapping[str, Any]) -> None:
    if params["negatives"] < 1 or params["context"] < 1:
        raise ParamsError(
            f"prompted: negatives is {params['negatives']} and context {params['context']}; expected 1 or more of each"
        )


def uses(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other plugins whose code decides the result."""
    return [("models", params["encoder"])]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Needs of the inner model."""
    _check(params)
    module = registry.read("models", params["encoder"])
    options = {**registry.defaults(module), **params["options"]}
    inputs: list[Ref] = module.needs(options) if registry.defines(module, "needs") else []
    return inputs


def build(params: Mapping[str, Any], classes: int) -> nn.Module:
    """The model inside with fresh weights, and room for negative labels and prompts."""
    module, options = inner(params)
    model: Any = module.build(options, classes)
    model.register_buffer("negatives", torch.zeros(params["negatives"], model.head.in_features))
    model.register_buffer("words", torch.zeros(params["negatives"], LONGEST, dtype=torch.uint8))
    model.register_buffer("contexts", torch.zeros(2, params["context"], params["width"]))
    network: nn.Module = model
    return network


def tower(model: nn.Module, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> _towers.Tower:
    """The text tower, which takes token vectors before a name."""
    _, options = inner(params)
    return _towers.of(params["encoder"], model, options, inputs)


def prepare_batch(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Inputs that the inner model prepares."""
    module, options = inner(params)
    return nets.prepare(module, samples, options)


def written(words: Sequence[str]) -> torch.Tensor:
    """Words as `words` keeps them, uint8 (n, 64).

    Raises:
        ParamsError: a word of more than 64 bytes.
    """
    rows = [word.encode() for word in words]
    for word, row in zip(words, rows, strict=True):
        if len(row) > LONGEST:
            raise ParamsError(f"prompted: the word {word!r} has {len(row)} bytes; expected at most {LONGEST}")
    return torch.tensor([list(row.ljust(LONGEST, b"\0")) for row in rows], dtype=torch.uint8)


def read(words: torch.Tensor) -> list[str]:
    """The words that `words` (n, 64) keeps.

    Example:
        >>> read(written(["zebra", "café"]))
        ['zebra', 'café']
    """
    return [bytes(row.tolist()).rstrip(b"\0").decode() for row in words]
