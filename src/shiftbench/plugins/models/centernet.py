"""CenterNet on MobileNetV3: a detector of COCO's 80 categories, as a TensorFlow.js graph, run with torch.

Source: Zhou, Wang and Kraehenbuehl 2019, "Objects as Points", arXiv:1904.07850; the graph as in
`sources/human_models.yaml`. Input 512 x 512, stretched; the graph itself decodes its 100 best boxes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxed_graph, _boxes, _graphs
from shiftbench.plugins.models._boxes import Detections

TITLE = "CenterNet"
TASK = "detection"
CITATION = "Zhou, Wang and Kraehenbuehl, Objects as Points, 2019, arXiv:1904.07850"
SIZE = 512


class Options(declare.Options):
    threshold: _boxes.Threshold = 0.05


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The graph."""
    return [refs.sources(_boxed_graph.SOURCE)]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The sha256 of the weights' file."""
    return _boxed_graph.pretrained("centernet", inputs)


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The detector, for those of the classes that COCO has."""

    def detect(graph: _graphs.Graph, image: torch.Tensor) -> Detections:
        feed = {"tower_0/images": image.permute(0, 2, 3, 1).float()}
        (detections,) = graph(feed, ["tower_0/detections"])
        rows = detections.reshape(-1, 6)
        rows = rows[rows[:, 4] >= params["threshold"]]
        return Detections(rows[:, :4], rows[:, 4], rows[:, 5].long())

    graph = _boxed_graph.file("centernet", inputs)
    return _boxed_graph.predictor(graph, weights, classes, SIZE, detect)
