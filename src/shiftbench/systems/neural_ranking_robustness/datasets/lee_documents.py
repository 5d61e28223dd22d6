"""Lee's 50 pieces of news, a collection for the queries of `lee_news`. Source: `_gensim`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _collections
from shiftbench.systems.neural_ranking_robustness.datasets import _gensim

TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
SOURCES = (_gensim.SOURCE,)
LICENCE = _gensim.LICENCE
CITATION = _gensim.CITATION
REDISTRIBUTE = False
PARAMS: dict[str, object] = {}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield documents: `id`, an empty `title`, `text`."""
    found = _gensim.lee_documents(sources[_gensim.SOURCE])
    yield from _collections.documents("lee_documents", found)
