"""An ONNX graph of yours, run by onnxruntime: `mine: {use: onnx, path: mine.onnx, size: 224}`.

The first output is the logits (n, classes). A second output is the features. Source: https://onnxruntime.ai.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _foreign, _given, _images, _optional

TITLE = "ONNX graph"
TASK = "classification"


class Options(declare.Options):
    path: str = Field("", description="your file")
    input: str = Field("", description="name of the graph's input; empty: its first")
    channels: _given.Channels = 3
    size: _given.Size = 0
    crop: fields.Crop = 1.0
    interpolation: _images.Interpolation = "bicubic"
    mean: fields.Mean = Field([0.485, 0.456, 0.406])
    std: fields.Std = Field([0.229, 0.224, 0.225])


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor of the graph at `path`."""
    opened = session(_given.check(weights, params["path"]), device)
    known = [one.name for one in opened.get_inputs()]
    name = params["input"] or next(iter(known), "")
    if known != [name]:
        raise ModelError(
            f"{params['path']} has the inputs {', '.join(known) or 'none'}; expected one, "
            f"{params['input'] or 'the images'}"
        )

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        fed = _given.scaled(samples, params)
        with _foreign.asking(params["path"], fed):
            arrays = [_foreign.numbers(one, params["path"]) for one in opened.run(None, {name: fed})[:2]]
        return _given.outputs(arrays, len(samples), len(classes), params["path"])

    return predict


def session(file: Path, device: str) -> Any:
    """An onnxruntime session with torch's number of threads, deterministic kernels.

    Raises:
        ModelError: onnxruntime is missing, or the file is no graph that it reads.
    """
    runtime = _optional.package("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    on_gpu = device.startswith("cuda") and "CUDAExecutionProvider" in runtime.get_available_providers()
    providers = [*(["CUDAExecutionProvider"] if on_gpu else []), "CPUExecutionProvider"]
    with _foreign.reading(file, "onnx"):
        return runtime.InferenceSession(str(file), options, providers=providers)
