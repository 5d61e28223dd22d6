"""Models that are files of the user: their digest as a checkpoint, the check of it, and the input that they take."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _images

DIGEST = "given.sha256"
Channels = Annotated[Literal[1, 3], Field(description="channels of the input: 1, grey, or 3, colour")]
Size = Annotated[int, Field(ge=0, description="side of the model's input, in pixels; 0: the images' own size")]


def state(path: str) -> nets.State:
    """State of a black box in a checkpoint: the sha256 of its bytes, uint8 (32,)."""
    return _state(_sha256(path))


def folder_state(folder: Path) -> nets.State:
    """State of a folder of files: one sha256 over the lines `sha256  path`, uint8 (32,).

    Raises:
        ModelError: it does not exist, or holds no file.
    """
    return _state(_folder_sha256(folder))


def _state(digest: bytes) -> nets.State:
    return {DIGEST: torch.from_numpy(np.frombuffer(digest, np.uint8).copy())}


def check(weights: Path, path: str) -> Path:
    """The model's file, after its bytes were found to be those that the weights name.

    Raises:
        ModelError: the file is missing or another one, or the weights are those of a network.
    """
    _compare(weights, path, _sha256(path))
    return file_of(path)


def check_folder(weights: Path, folder: Path) -> None:
    """Look whether the files of a folder are those that the weights name.

    Raises:
        ModelError: as `check`, and `folder_state`.
    """
    _compare(weights, str(folder), _folder_sha256(folder))


def _compare(weights: Path, path: str, output: bytes) -> None:
    stated = nets.read_state(weights).get(DIGEST)
    if stated is None:
        raise ModelError(f"{weights} does not stand for {path}; make it with the trainer `given`")
    if stated.numpy().tobytes() != output:
        raise ModelError(f"{path} is not the file that {weights} was made from; run the train stage again")


def file_of(path: str) -> Path:
    """The file in `file.py:function` or `file`.

    Raises:
        ModelError: it does not exist.
    """
    file = Path(path.rpartition(":")[0] if ".py:" in path else path)
    if not file.is_file():
        raise ModelError(f"model file {file} does not exist; check `path:`, relative to params.yaml")
    return file


def _sha256(path: str) -> bytes:
    with file_of(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _folder_sha256(folder: Path) -> bytes:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    if not files:
        raise ModelError(f"{folder} is no folder with files; check `path:`, relative to params.yaml")
    lines = [f"{_sha256(str(file)).hex()}  {file.relative_to(folder)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).digest()


def scaled(samples: Sequence[Sample], params: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The input of a graph whose preprocessing is told by options.

    Args:
        samples: images of any size.
        params: `channels` 1 or 3, `size` in pixels (0: as they are), `crop` share of the resized
            image, `interpolation`, `mean` and `std` for images in 0..1, one number per channel.

    Returns:
        float32 (n, channels, size, size).
    """
    pixels = _pixels(samples, params).astype(np.float32) / np.float32(255)
    mean = np.asarray(params["mean"], np.float32).reshape(-1, 1, 1)
    std = np.asarray(params["std"], np.float32).reshape(-1, 1, 1)
    return np.ascontiguousarray((pixels - mean) / std)


def _pixels(samples: Sequence[Sample], params: Mapping[str, Any]) -> _images.Pixels:
    size = params["size"]
    if params["channels"] == 1:
        return _images.grey_batch(samples, size)
    if not size:
        return _images.colour_batch(samples, lambda image: image)
    shorter, kind = int(size / params["crop"]), params["interpolation"]
    return _images.colour_batch(samples, lambda image: _images.resize_and_crop(image, shorter, size, kind))


def outputs(output: Any, count: int, classes: int, path: str) -> nets.Outputs:
    """Outputs of a black box, which returns logits alone, or (logits, features).

    Raises:
        ModelError: not one row of `classes` logits per sample.
    """
    parts = list(output) if isinstance(output, list | tuple) else [output]
    arrays = [np.asarray(part, dtype=np.float32) for part in parts[:2]]
    result = dict(zip(("logits", "features"), arrays, strict=False))
    nets.check_outputs(result, count, classes, path)
    if "features" in result:
        result["features"] = result["features"].reshape(count, -1)
    return result
