"""CLIP ViT-B/16 image tower, int8 ONNX: features only, heads are fitted on them by `linear_probe`.

Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
arXiv:2103.00020; the graph as in `sources/clip_image_tower.yaml`. Quantised: its features differ from
the float32 tower's, so the paper's numbers do not apply. Input: 224 px, bicubic, CLIP's mean and std.
Features are normalised to length 1, as CLIP compares them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _given, onnx

TITLE = "CLIP ViT-B/16"
TASK = "classification"
PRETRAINED_ON = "imagenet"
CITATION = "Radford et al., Learning Transferable Visual Models, ICML 2021, arXiv:2103.00020"
INPUT = {
    "channels": 3,
    "size": 224,
    "interpolation": "bicubic",
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}


class Options(declare.Options):
    crop: fields.Crop = 1.0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The graph."""
    return [refs.sources("clip_image_tower")]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The sha256 of the graph: there is no head before `linear_probe` has fitted one."""
    return _given.state(str(_graph(inputs)))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The tower under a linear head; without one it gives features alone."""
    session = onnx.session(_graph(inputs), device)
    head = _head(weights, len(classes))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        pixels = _given.scaled(samples, {**INPUT, **params})
        (embeddings,) = session.run(["image_embeds"], {"pixel_values": pixels})
        features = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        logits = {} if head is None else {"logits": features @ head[0].T + head[1]}
        return {**logits, "features": features}

    return predict


def _head(weights: Path, classes: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    state = nets.read_state(weights)
    if "head.weight" not in state:
        return None
    weight, bias = state["head.weight"].numpy(), state["head.bias"].numpy()
    if len(weight) != classes:
        raise ModelError(f"{weights} has a head of {len(weight)} classes, expected {classes}; probe again")
    return weight, bias


def _graph(inputs: Mapping[Ref, Path]) -> Path:
    return inputs[refs.sources("clip_image_tower")].parent / "clip_encoder.int8.onnx"
