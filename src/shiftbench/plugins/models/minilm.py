"""A linear head on sentence vectors of all-MiniLM-L6-v2, for texts; trained by `linear_probe`.

Source: Reimers and Gurevych 2019, arXiv:1908.10084; `_sentences` has the encoder, which does not change. Features
are its vectors of length 1, float32 (n, 384). A text that was embedded is remembered in the process.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences

TASK = "text_classification"


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The encoder's original."""
    return [refs.sources(_sentences.SOURCE)]


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: weights of another size or number of classes.
    """
    state = nets.read_state(weights)
    expected = {"head.weight": (len(classes), _sentences.SIZE), "head.bias": (len(classes),)}
    for name, shape in expected.items():
        shape_in_file = tuple(state[name].shape) if name in state else None
        if shape_in_file != shape:
            raise ModelError(f"{weights}: {name} is {shape_in_file}, expected {shape}; train with sentence_probe")
    weight, bias = state["head.weight"].numpy(), state["head.bias"].numpy()
    embed = encoder(inputs[refs.sources(_sentences.SOURCE)].parent)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        features = embed([sample.fields["text"] for sample in samples])
        return {"logits": features @ weight.T + bias, "features": features}

    return predict


class Encoder:
    """Texts -> vectors float32 (n, 384); each distinct text is embedded once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, torch.Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The vectors of texts, in order."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            self._known.update(zip(new, _sentences.embed(new, self._folder), strict=True))
        return torch.stack([self._known[text] for text in texts]).numpy()


@cache
def encoder(folder: Path) -> Encoder:
    """The encoder of a folder, which remembers what it embedded as long as the process lives."""
    return Encoder(folder)
