"""A TorchScript module of yours: `mine: {use: torchscript, path: mine.pt, size: 224, trust: true}`.

It takes float32 (n, channels, size, size) and gives logits (n, classes), or a pair with features.
TorchScript runs no Python, but its operators open, read and overwrite files (`torch.from_file`, `torch.save`), so
that the option `trust: true` must say that you trust who made it.
Source: the PyTorch documentation, "TorchScript".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _foreign, _given, _images, _trust

TITLE = "TorchScript module"
TASK = "classification"
RUNS_CODE = "a TorchScript file can read and write files of yours while it runs"


class Options(declare.Options):
    path: str = Field("", description="your file")
    trust: _trust.Trust = False
    channels: _given.Channels = 3
    size: _given.Size = 0
    crop: fields.Crop = 1.0
    interpolation: _images.Interpolation = "bicubic"
    mean: fields.Mean = Field([0.485, 0.456, 0.406])
    std: fields.Std = Field([0.229, 0.224, 0.225])


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor of the module at `path`."""
    _trust.require(params, RUNS_CODE)
    file, place = _given.check(weights, params["path"]), nets.pick_device(device)
    with _foreign.reading(file, "torchscript"):
        module = torch.jit.load(file, map_location=place).eval()

    return _foreign.predictor(module, params, len(classes), place)
