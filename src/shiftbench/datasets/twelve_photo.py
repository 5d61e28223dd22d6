"""Twelve classes, cut-out photos (and some drawings): the clean partner of the other four looks.

Sources and rules: `_twelve`. Option `kind` restricts to `photo` or `drawing`; hardly a building or
garment is a photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.datasets import _twelve
from shiftbench.errors import DataError, ParamsError
from shiftbench.sample import Sample

TASK = "classification"
CLASSES = _twelve.CLASSES
NATIVE = ("train", "val", "test")
SOURCES = ("tuxpaint_stamps",)
LICENCE = "GPL-2 (as the package states for all files)"
CITATION = "The Tux Paint stamps collection, release 2025.03.31, B. Kendrick and contributors"
REDISTRIBUTE = True
PARAMS: dict[str, object] = {"kind": "all"}

group = _twelve.group


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (128, 128, 3), `mask` uint8 (128, 128), `label`, `meta`."""
    if params["kind"] not in ("all", "photo", "drawing"):
        raise ParamsError(f"twelve_photo: kind is {params['kind']!r}; allowed: all, photo, drawing")
    chosen = [row for row in _twelve.rows(split, "photo") if params["kind"] in ("all", row.kind)]
    home = sources["tuxpaint_stamps"]
    yield from _twelve.samples("twelve_photo", [(row, home / row.path) for row in chosen])
