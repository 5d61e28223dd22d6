"""An ONNX graph of yours, run by onnxruntime: `mine: {use: onnx, path: mine.onnx, size: 224}`.

The first output is the logits (n, classes), a second one, if there is one, the features. The option
`input` is the name of the graph's input (default: its first). Source: https://onnxruntime.ai.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shiftbench.inference import nets
from shiftbench.models import _given, _optional
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "classification"
PARAMS: dict[str, object] = {
    "path": "",
    "input": "",
    "channels": 3,
    "size": 0,
    "crop": 1.0,
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def load(
    weights: Path,
    params: Mapping[str, Any],
    classes: Sequence[str],
    device: str,
    inputs: Mapping[Ref, Path],
) -> nets.Predictor:
    """Return the predictor of the graph at `path`.

    Raises:
        ModelError: onnxruntime is missing, the file is another one, or its outputs do not fit.
    """
    opened = session(_given.check(weights, params["path"]), device)
    name = params["input"] or opened.get_inputs()[0].name

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        found = opened.run(None, {name: _given.scaled(samples, params)})
        return _given.outputs(found, len(samples), len(classes), params["path"])

    return predict


def session(file: Path, device: str) -> Any:
    """Return an onnxruntime session with torch's number of threads, deterministic kernels."""
    runtime = _optional.package("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    on_gpu = (
        device.startswith("cuda") and "CUDAExecutionProvider" in runtime.get_available_providers()
    )
    providers = [*(["CUDAExecutionProvider"] if on_gpu else []), "CPUExecutionProvider"]
    return runtime.InferenceSession(str(file), options, providers=providers)
