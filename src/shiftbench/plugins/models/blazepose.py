"""BlazePose, as MediaPipe ships it: 33 landmarks of a person, in the picture and in space, run with torch.

The landmark graph alone: the box of the person is known, as to every top-down model here, and a square around it is the
input, 256 x 256, upright. (MediaPipe finds the person with a second graph, turns the square so that the body is upright
in it, and follows it through a video.) The confidence of a joint is the graph's visibility.

Source: Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking", arXiv:2006.10204; the graph as in
`sources/blazepose.yaml`; its outputs as MediaPipe 0.10.14 reads them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import skeletons
from shiftbench.data.skeletons import BLAZEPOSE_33
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes, _given, _heatmaps, _tflite

TITLE = "BlazePose"
TASK = "keypoints"
CITATION = "Bazarevsky et al., BlazePose, 2020, arXiv:2006.10204"
SOURCE, FILE, SIDE = "blazepose", "pose_landmark_full.tflite", 256
VALUES = 5
"""Of each landmark: x, y and z in pixels of the input, logits of visibility and presence."""
Floats = npt.NDArray[np.float32]


class Options(declare.Options):
    padding: float = Field(1.25, gt=0, description="side of the input's square, in lengths of the box's longer side")
    presence: float = Field(0.5, ge=0, le=1, description="score of the graph from which a person counts as present")
    middle: _heatmaps.Middle = 0.5


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The graph."""
    return [refs.sources(SOURCE)]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The sha256 of the graph."""
    return _given.state(str(_file(inputs)))


def _file(inputs: Mapping[Ref, Path]) -> Path:
    return inputs[refs.sources(SOURCE)].parent / FILE


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The model, for those joints that BlazePose has."""
    _given.check(weights, str(_file(inputs)))
    places = skeletons.mapping(BLAZEPOSE_33, classes)
    if (places < 0).any():
        raise ModelError(
            f"BlazePose has no joint {classes[int(np.argmin(places))]!r}; it has {', '.join(BLAZEPOSE_33)}"
        )
    graph = _tflite.Graph(_file(inputs))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        outputs: dict[str, list[Floats]] = {"joints": [], "joints3d": [], "scores": []}
        for sample in samples:
            for name, values in _answer(graph, sample, places, params).items():
                outputs[name].append(values)
        return {name: _boxes.ragged(values) for name, values in outputs.items()}

    return predict


def _answer(
    graph: _tflite.Graph, sample: Sample, places: npt.NDArray[np.int64], params: Mapping[str, Any]
) -> dict[str, Floats]:
    """The persons of a picture: joints (p, K, 3), joints in space (p, K, 3), scores (p,)."""
    crops = [_square(pose["box"], params["padding"]) for pose in sample.fields["poses"]]
    none = np.zeros((0, len(places), 3), np.float32)
    answers = {"joints": none, "joints3d": none, "scores": np.zeros(0, np.float32)}
    if not crops:
        return answers
    cuts = [_heatmaps.cut(sample.fields["image"], crop, (SIDE, SIDE), params["middle"]) for crop in crops]
    flat, presence, _, _, space = graph(torch.from_numpy(np.stack(cuts)).float() / 255)
    marks = flat.reshape(len(crops), -1, VALUES)[:, places].numpy()
    marks[..., 2] = 1 / (1 + np.exp(-marks[..., 3]))
    joints = [_heatmaps.in_picture(own[:, :3], crop, (SIDE, SIDE)) for own, crop in zip(marks, crops, strict=True)]
    scores = presence.reshape(-1).numpy()
    there = scores >= params["presence"]
    in_space = space.reshape(len(crops), -1, 3)[:, places].numpy()
    return {"joints": np.stack(joints)[there], "joints3d": in_space[there], "scores": scores[there]}


def _square(box: Sequence[float], padding: float) -> _heatmaps.Crop:
    x, y, w, h = box
    return _heatmaps.Crop(np.array([x + w / 2, y + h / 2]), np.full(2, padding * max(w, h)))
