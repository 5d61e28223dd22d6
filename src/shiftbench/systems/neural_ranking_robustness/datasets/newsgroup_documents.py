"""Two hundred articles of two newsgroups, a collection for the queries of `newsgroup_subjects`. Source: `_gensim`."""

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
PARAMS: dict[str, object] = {"first": 200}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield documents: `id`, an empty `title`, `text`."""
    found, _ = _gensim.newsgroups(sources[_gensim.SOURCE], params["first"])
    yield from _collections.documents("newsgroup_documents", found)
