"""MedMNIST's files in small: NAME_64.npz with the six arrays of the authors' splits."""

import functools
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from makers.small_files import Made
from shiftbench.base import registry
from shiftbench.base.registry import defaults

SETS = {
    "path": 9, "derma": 7, "oct": 4, "pneumonia": 2, "retina": 5, "breast": 2, "blood": 8, "tissue": 8,
    "organ_a": 11, "organ_c": 11, "organ_s": 11,
}  # fmt: skip
"""The eleven sets of the paper, and their classes (its README and medmnist 3.0.2)."""
COLOURED = ("path", "derma", "retina", "blood")


def medmnist(folder: Path, name: str, **changed: Any) -> dict[str, Any]:
    """Write the file of a set, with each class in each split; return the options that read it.

    Args:
        folder: where it lies.
        name: of SETS.
        changed: other arrays in place of those of these names.
    """
    flag, classes = name.replace("_", "") + "mnist", SETS[name]
    random, arrays = np.random.default_rng(zlib.crc32(name.encode())), {}
    shape = (64, 64, 3) if name in COLOURED else (64, 64)
    for split, rounds in (("train", 3), ("val", 1), ("test", 2)):
        count = rounds * classes
        arrays[f"{split}_images"] = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % classes).astype(np.uint8)[:, None]
    file = folder / f"{flag}_64.npz"
    np.savez_compressed(file, **{**arrays, **changed})
    md5 = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return {"root": str(folder), "md5": md5}


def _made(name: str, tmp: Path) -> Made:
    return {}, medmnist(tmp, name)


def makers() -> dict[str, Callable[[Path], Made]]:
    """Return who makes a miniature of each set, by the dataset's name."""
    return {f"{name}_mnist": functools.partial(_made, name) for name in SETS}


def options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a set's dataset."""
    return {**defaults(registry.find("datasets", f"{name}_mnist")), **given}
