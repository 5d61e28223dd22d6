"""Lee's news as queries for each other (`lee_documents`), graded by how similar people found them.

Source: `_gensim`.
"""

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
PARAMS: dict[str, object] = {"collection": "lee_documents"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield queries: `text`, `judged` (grades 5 to 10, else 0), `candidates` (all others)."""
    folder = sources[_gensim.SOURCE]
    found, known = _gensim.lee_queries(folder), _gensim.lee_documents(folder)
    yield from _collections.queries("lee_news", params["collection"], found, known)
