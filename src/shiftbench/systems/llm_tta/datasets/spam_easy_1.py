"""Mails, easy ham and spam of the first collection: the in-distribution of the spam task.

Source: the SpamAssassin public corpus; rules in `_spam`. Split by mail. Mails may offend.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.sample import Sample
from shiftbench.systems.llm_tta.datasets import _spam

TASK = "text_classification"
CLASSES = _spam.CLASSES
NATIVE = ("all",)
SOURCES = (_spam.SOURCE,)
LICENCE = _spam.LICENCE
CITATION = _spam.CITATION
REDISTRIBUTE = True
PARAMS: dict[str, object] = {**_spam.PARAMS}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield all mails: `text` str, `label` 0 (ham) or 1 (spam)."""
    wanted = ("easy-ham-1", "spam-1")
    yield from _spam.samples("spam_easy_1", wanted, sources[_spam.SOURCE], params["words"])
