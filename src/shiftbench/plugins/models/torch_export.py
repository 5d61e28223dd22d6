"""A program saved by torch.export: `mine: {use: torch_export, path: mine.pt2, size: 224, trust: true}`.

It takes float32 (n, channels, size, size) and gives logits (n, classes), or a pair with features.
Export it with a dynamic batch dimension, or every batch must have the size that it was exported with.

What is loaded may run Python (expressions of shapes are evaluated), so that the option `trust: true` must say that you
trust who made the file. Pickles in it are refused all the same: an exported program needs none but tensors.

Source: the PyTorch documentation, "torch.export".
"""

import os
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from shiftbench.base import files
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.models import _foreign, _given, _images, _trust

TITLE = "torch.export program"
TASK = "classification"
RUNS_CODE = "a file of torch.export can run Python when it is loaded"

_KNOWN = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/\w+|models/[^/]+\.json|extra/.*"
    r"|data/(weights|constants)/((weight|tensor)_\d+|[^/]+_config\.json)|data/sample_inputs/[^/]+\.pt)"
)


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
    _refuse_more_than_tensors(file)
    with _foreign.reading(file, "torch_export"):
        module = _module(file).to(place)

    return _foreign.predictor(module, params, len(classes), place)


def _module(file: Path) -> torch.nn.Module:
    try:
        with _only_tensors():
            return torch.export.load(file).module()
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{file} is refused: it holds pickled Python objects, and loading them could run code "
            f"({_foreign.first_line(error)}); export the net alone"
        ) from None


def _refuse_more_than_tensors(file: Path) -> None:
    """Refuse an archive with more than the program, its tensors and sample inputs: pickled objects, libraries."""
    if not zipfile.is_zipfile(file):
        description = files.describe_type(file) or "it is no archive of torch.export"
        raise ModelError(f"{file} cannot be read as torch_export: {description}; save or download it again")
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if not _KNOWN.fullmatch(name):
                raise ModelError(
                    f"{file} is refused: it holds {name!r}, which is neither the program nor a tensor of it; export "
                    "the net alone"
                )


@contextmanager
def _only_tensors() -> Iterator[None]:
    """Let no `torch.load` within unpickle more than tensors, whatever its arguments."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
