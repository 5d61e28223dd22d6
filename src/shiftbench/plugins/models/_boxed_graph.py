"""Detectors that come as graphs: their checkpoint is a file's sha256, their classes are COCO's, by name; helper."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _boxes, _coco, _given, _graphs
from shiftbench.plugins.models._boxes import Detections

SOURCE = "human_models"
Detect = Callable[[_graphs.Graph, torch.Tensor], Detections]
"""(graph, image uint8 (1, 3, size, size)) -> boxes in its pixels, classes among COCO's."""


def pretrained(name: str, inputs: Mapping[Ref, Path]) -> nets.State:
    """The sha256 of the weights' file."""
    return _given.state(str(file(name, inputs).with_suffix(".bin")))


def file(name: str, inputs: Mapping[Ref, Path]) -> Path:
    """The graph's file."""
    return inputs[refs.sources(SOURCE)].parent / f"{name}.json"


def predictor(graph: Path, weights: Path, classes: Sequence[str], size: int, detect: Detect) -> nets.Predictor:
    """Predictor of the `classes` that COCO has; detections of other categories are left out."""
    _given.check(weights, str(graph.with_suffix(".bin")))
    known = {name: label for label, name in enumerate(classes) if name in _coco.CLASSES}
    if not known:
        raise ModelError(f"{graph.stem} knows the categories of COCO; none of {', '.join(classes)} is one")
    labels = torch.tensor([known.get(name, -1) for name in _coco.CLASSES])
    network = _graphs.Graph(graph)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        batch = torch.from_numpy(_boxes.square(samples, size))
        detections = [_renamed(detect(network, image[None]), labels) for image in batch]
        return _boxes.outputs(samples, detections, (size, size))

    return predict


def _renamed(detections: Detections, labels: torch.Tensor) -> Detections:
    classes = labels[detections.classes.long()]
    kept = classes >= 0
    return Detections(detections.boxes[kept], detections.scores[kept], classes[kept])
