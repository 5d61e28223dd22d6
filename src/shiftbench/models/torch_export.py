"""A program saved by torch.export: `mine: {use: torch_export, path: mine.pt2, size: 224}`.

It takes float32 (n, channels, size, size) and gives logits (n, classes), or a pair with features.
Export it with a dynamic batch dimension, or every batch must have the size that it was exported with.
Source: the PyTorch documentation, "torch.export".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from shiftbench.errors import ModelError
from shiftbench.inference import nets
from shiftbench.models import _given
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "classification"
PARAMS: dict[str, object] = {
    "path": "",
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
    """Return the predictor of the module at `path`.

    Raises:
        ModelError: the file is another one or cannot be read, or its outputs do not fit.
    """
    file, place = _given.check(weights, params["path"]), nets.pick_device(device)
    try:
        module = torch.export.load(file).module().to(place)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{file} cannot be read as torch_export: {str(error).splitlines()[0]}"
        ) from None

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        with torch.inference_mode():
            found = module(torch.from_numpy(_given.scaled(samples, params)).to(place))
        parts = found if isinstance(found, list | tuple) else (found,)
        arrays = [nets.to_numpy(part) for part in parts]
        return _given.outputs(arrays, len(samples), len(classes), params["path"])

    return predict
