"""Checkpoints read as bytes: their header is JSON, so that no code runs.

The library that wrote them is not used: it reads much larger headers, and a stranger wrote the file.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import files
from shiftbench.base.errors import DataError

_LIMIT = 10_000_000
"""Largest header in bytes: 50,000 tensors. The library reads ten times that, which are gigabytes of Python objects."""


def header(file: Path) -> dict[str, Any]:
    """Header of a safetensors file; a file that is something else, for example a pickle, is a DataError."""
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        text = stream.read(size) if 0 < size <= _LIMIT else b""
    try:
        content = files.from_json(text)
    except ValueError:
        content = None
    if not isinstance(content, dict) or len(text) != size:
        raise DataError(
            f"{file} is no safetensors file with a header below {_LIMIT:,} bytes; a file that could run code is not "
            "opened"
        )
    return content


def metadata(file: Path) -> dict[str, str]:
    """Metadata of a checkpoint: `name`, `fingerprint`, `classes` (JSON)."""
    content = header(file).get("__metadata__")
    return content if isinstance(content, dict) else {}


def classes(file: Path) -> list[str] | None:
    """Class names in the order of the logits; None: no file, no checkpoint, or it states none."""
    try:
        names = files.from_json(metadata(file)["classes"])
    except (OSError, DataError, KeyError, AttributeError, ValueError):
        return None
    return names if isinstance(names, list) else None


_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
Tensors = dict[str, NDArray[Any]]
"""Tensors by name: floats in double precision, others as bytes."""


def tensors(file: Path) -> Tensors:
    """Tensors of a checkpoint."""
    return {name: _numbers(data, facts["dtype"]) for name, facts, data in _parts(file)}


def finite(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield each tensor's name, sorted, and whether all its numbers are finite."""
    for name, facts, data in _parts(file):
        yield name, bool(np.isfinite(_numbers(data, facts["dtype"])).all())


def _numbers(data: NDArray[np.uint8], dtype: str) -> NDArray[Any]:
    raw = data.tobytes()
    if dtype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    return np.frombuffer(raw, _FLOATS[dtype]).astype(np.float64) if dtype in _FLOATS else np.frombuffer(raw, np.uint8)


def largest_difference(one: Tensors, two: Tensors) -> float | None:
    """Largest difference of two models' weights; None: names, shapes or integers differ."""
    if one.keys() != two.keys() or any(one[n].shape != two[n].shape for n in one):
        return None
    whole = [name for name in one if one[name].dtype.kind != "f"]
    if any((one[name] != two[name]).any() for name in whole):
        return None
    floats = [name for name in one if one[name].dtype.kind == "f" and one[name].size]
    return max((float(np.abs(one[n] - two[n]).max()) for n in floats), default=0.0)


def largest_weight(tensors: Tensors) -> float:
    """Largest absolute weight of a model."""
    floats = (values for values in tensors.values() if values.dtype.kind == "f" and values.size)
    return max((float(np.abs(values).max()) for values in floats), default=0.0)


def content(file: Path) -> str:
    """Digest of all tensors with their names, types and shapes, without the metadata."""
    hasher = hashlib.sha256()
    for name, facts, data in _parts(file):
        hasher.update(json.dumps([name, facts["dtype"], facts["shape"]]).encode())
        hasher.update(data.tobytes())
    return hasher.hexdigest()


def _parts(file: Path) -> Iterator[tuple[str, dict[str, Any], NDArray[np.uint8]]]:
    """Yield name, facts and bytes of each tensor, sorted by name."""
    about = header(file)
    about.pop("__metadata__", None)
    data = np.memmap(file, np.uint8, mode="r")
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    for name, facts in sorted(about.items()):
        low, high = facts["data_offsets"]
        yield name, facts, data[start + low : start + high]
