"""Twelve classes, emoji as Twitter draws them: a domain shift of twelve_photo.

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
SOURCES = ("emoji_twitter",)
LICENCE = "CC BY 4.0"
CITATION = "Twemoji, Twitter and contributors; packaged as emoji-datasource 16.0.0 by C. Henderson"
REDISTRIBUTE = True
PARAMS: dict[str, object] = {}

group = _twelve.group


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (128, 128, 3), `mask` uint8 (128, 128), `label`, `meta`."""
    folder = sources["emoji_twitter"] / "img" / "twitter" / "64"
    yield from _twelve.emoji_samples("twelve_emoji_twitter", split, folder)
