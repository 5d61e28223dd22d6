"""Twelve classes, emoji in Microsoft's 3D look: a domain shift of twelve_photo.

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
SOURCES = ("fluent_emoji",)
LICENCE = "MIT"
CITATION = "Fluent Emoji, Microsoft; packaged as fluent-emoji-3d 1.1.0 by LobeHub"
REDISTRIBUTE = True
PARAMS: dict[str, object] = {}

group = _twelve.group


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (128, 128, 3), `mask` uint8 (128, 128), `label`, `meta`."""
    folder = sources["fluent_emoji"] / "assets"
    yield from _twelve.emoji_samples("twelve_emoji_fluent", split, folder)
