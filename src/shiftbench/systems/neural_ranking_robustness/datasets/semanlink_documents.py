"""Semanlink's 6,022 bookmarks with text enough, a collection for the queries of `semanlink`.

Source and rules: `_semanlink`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _collections
from shiftbench.systems.neural_ranking_robustness.datasets import _semanlink

TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES = (_semanlink.SOURCE,)
LICENCE = _semanlink.LICENCE
CITATION = _semanlink.CITATION
REDISTRIBUTE = False


class Options(declare.Options):
    share: _semanlink.Share = 1.0


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield documents: `id`, `title`, `text` (comment and arXiv summary)."""
    documents = _semanlink.documents(sources[_semanlink.SOURCE], params["share"])
    yield from _collections.documents("semanlink_documents", documents)
