"""NanoDet: a small detector of COCO's 80 categories, as a TensorFlow.js graph, run with torch.

Source: Lyu 2021, https://github.com/RangiLyu/nanodet (heads after Li et al. 2020, "Generalized Focal Loss",
arXiv:2006.04388); the graph as in `sources/human_models.yaml`. Input 416 x 416, stretched; each cell of three strides
gives 80 scores and, for each side of its box, a softmax over distances of 0 to 10 strides. Boxes are thinned by NMS at
0.6, 100 at most. Its recall is low, as its size is: it does not replace the detectors of a paper.
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

TITLE = "NanoDet"
TASK = "detection"
CITATION = "Lyu, NanoDet-Plus, 2021, https://github.com/RangiLyu/nanodet"
SIZE, BINS, OVERLAP, MOST = 416, 11, 0.6, 100
MEAN, STD = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # of blue, green, red
OUTPUTS = ("Identity", *(f"Identity_{n}" for n in range(1, 6)))


class Options(declare.Options):
    threshold: _boxes.Threshold = 0.05


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The graph."""
    return [refs.sources(_boxed_graph.SOURCE)]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """The sha256 of the weights' file."""
    return _boxed_graph.pretrained("nanodet", inputs)


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The detector, for those of the classes that COCO has."""

    def detect(graph: _graphs.Graph, image: torch.Tensor) -> Detections:
        return detections(graph(_feed(image), OUTPUTS), params["threshold"])

    graph = _boxed_graph.file("nanodet", inputs)
    return _boxed_graph.predictor(graph, weights, classes, SIZE, detect)


def _feed(image: torch.Tensor) -> dict[str, torch.Tensor]:
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (MEAN, STD))
    return {"input_1": (image.flip(1).float() - mean) / std}


def detections(outputs: Sequence[torch.Tensor], threshold: float) -> Detections:
    """Boxes from scores (n, 80) and bins (n, 44) of three strides, in any order."""
    from torchvision.ops import batched_nms

    maps = [output.reshape(-1, output.shape[-1]) for output in outputs]
    scores = {len(one): one for one in maps if one.shape[1] == 80}
    bins = {len(one): one for one in maps if one.shape[1] == 4 * BINS}
    boxes, values = [], []
    for count in sorted(scores, reverse=True):
        side = round(count**0.5)
        stride = SIZE // side
        reach = torch.softmax(bins[count].reshape(count, 4, BINS), dim=2) @ torch.arange(float(BINS))
        at = torch.arange(count)
        middle = (torch.stack([at % side, at // side], dim=1) + 0.5) * stride
        boxes.append(torch.cat([middle - reach[:, :2] * stride, middle + reach[:, 2:] * stride], 1))
        values.append(scores[count])
    best, classes = torch.cat(values).max(dim=1)
    kept = best >= threshold
    place, best, classes = torch.cat(boxes)[kept], best[kept], classes[kept]
    kept = batched_nms(place, best, classes, OVERLAP)[:MOST]
    return Detections(place[kept], best[kept], classes[kept])
