"""Twelve classes, clip-art: a domain shift of twelve_photo.

Sources and rules: `_twelve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.datasets import _twelve
from shiftbench.errors import DataError
from shiftbench.sample import Sample

TASK = "classification"
CLASSES = _twelve.CLASSES
NATIVE = ("train", "val", "test")
SOURCES = ("openclipart",)
LICENCE = "public domain dedication"
CITATION = "The Open Clip Art Library, release 0.18, J. Phillips, B. Harrington and contributors"
REDISTRIBUTE = True
PARAMS: dict[str, object] = {}

group = _twelve.group


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (128, 128, 3), `mask` uint8 (128, 128), `label`, `meta`."""
    home = sources["openclipart"]
    found = [(row, home / row.path) for row in _twelve.rows(split, "clipart")]
    yield from _twelve.samples("twelve_clipart", found)
