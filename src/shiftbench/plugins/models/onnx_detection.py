"""A detector of yours as an ONNX graph, run by onnxruntime: `mine: {use: onnx_detection, path: mine.onnx, size: 640}`.

The graph takes float32 (1, 3, size, size), the image stretched and normalised by `mean` and `std` (of 0 to 1), and
gives boxes (k, 4), scores (k,) and labels (k,), a leading axis of 1 or none. Labels outside the classes are left out.
Exported detectors of MMDetection or Detectron2 can have this form.

Source: https://onnxruntime.ai.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _boxes, _given, onnx
from shiftbench.plugins.models._boxes import Detections

TITLE = "ONNX detector"
TASK = "detection"
FORMS = ("xyxy", "xywh", "cxcywh")


class Options(declare.Options):
    path: str = Field("", description="your file")
    size: fields.Size = 640
    boxes: str = Field("boxes", description="name of the output with the boxes")
    scores: str = Field("scores", description="name of the output with the scores")
    labels: str = Field("labels", description="name of the output with the labels")
    form: Literal["xyxy", "xywh", "cxcywh"] = Field(
        "xyxy", description="numbers of a box: two corners, corner and sides, or centre and sides"
    )
    shares: bool = Field(False, description="boxes are shares of the input's side, not pixels")
    first: int = Field(0, description="label of the dataset's first class")
    threshold: float = Field(0.01, description="lowest score of a box")
    mean: fields.Mean = Field([0.485, 0.456, 0.406])
    std: fields.Std = Field([0.229, 0.224, 0.225])


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor of the graph at `path`."""
    if params["form"] not in FORMS:
        raise ParamsError(f"onnx_detection: form is {params['form']!r} ({suggest(params['form'], FORMS)})")
    opened = onnx.session(_given.check(weights, params["path"]), device)
    names = [params[name] for name in ("boxes", "scores", "labels")]
    known = [output.name for output in opened.get_outputs()]
    for name in names:
        if name not in known:
            raise ModelError(f"{params['path']} has no output {name!r} ({suggest(name, known)})")
    feed, size = opened.get_inputs()[0].name, int(params["size"])
    mean, std = (np.array(params[name], np.float32).reshape(3, 1, 1) for name in ("mean", "std"))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        detections = []
        for image in _boxes.square(samples, size):
            pixels = ((image.astype(np.float32) / 255 - mean) / std)[None]
            detections.append(_detections(opened.run(names, {feed: pixels}), params, len(classes)))
        return _boxes.outputs(samples, detections, (size, size))

    return predict


def _detections(raw: Sequence[np.ndarray[Any, Any]], params: Mapping[str, Any], count: int) -> Detections:
    boxes = torch.from_numpy(np.asarray(raw[0], np.float32).reshape(-1, 4).copy())
    scores = torch.from_numpy(np.asarray(raw[1], np.float32).reshape(-1).copy())
    classes = torch.from_numpy(np.asarray(raw[2]).reshape(-1).astype(np.int64)) - int(params["first"])
    if not len(boxes) == len(scores) == len(classes):
        raise ModelError(f"{params['path']} gave {len(boxes)} boxes, {len(scores)} scores and {len(classes)} labels")
    if params["shares"]:
        boxes = boxes * float(params["size"])
    if params["form"] == "cxcywh":
        boxes[:, :2] -= boxes[:, 2:] / 2
    if params["form"] != "xyxy":
        boxes[:, 2:] += boxes[:, :2]
    kept = (classes >= 0) & (classes < count) & (scores >= params["threshold"])
    return Detections(boxes[kept], scores[kept], classes[kept])
