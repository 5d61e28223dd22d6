"""Subjects of two newsgroups as queries for their articles (`newsgroup_documents`); relevant is the group.

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
PARAMS: dict[str, object] = {"first": 200, "collection": "newsgroup_documents"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield queries: `text`, `judged` (1: of the same group, else 0), `candidates`, `meta` with the `group`."""
    folder = sources[_gensim.SOURCE]
    known, found = _gensim.newsgroups(folder, params["first"])
    yield from _collections.queries("newsgroup_subjects", params["collection"], found, known)
