"""Sentences of movie reviews, positive or negative: a domain shift of vader_amazon.

Source: Hutto and Gilbert, ICWSM 2014; rules in `_vader`. Split by sentence: the file does not say
which belong together.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.datasets import _vader
from shiftbench.sample import Sample

TASK = "text_classification"
CLASSES = _vader.CLASSES
NATIVE = ("all",)
SOURCES = ("vader_reviews",)
LICENCE = _vader.LICENCE
CITATION = _vader.CITATION
REDISTRIBUTE = True
PARAMS: dict[str, object] = {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all sentences: `text` str, `label` 0 (negative) or 1 (positive)."""
    yield from _vader.samples("vader_movie", sources["vader_reviews"])
