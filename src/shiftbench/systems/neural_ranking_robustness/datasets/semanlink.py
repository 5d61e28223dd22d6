"""Semanlink's tags as queries for its bookmarks (`semanlink_documents`).

They are split 60/20/20 by the hash of the tag's address, or where `cuts` says. `kind: web` or `arxiv` are the queries
of one type, `whole: true` puts all into test; `share` is that of the collection.
Candidates are the first hundred documents of BM25. Source
and rules: `_semanlink`; 734 queries, 650 of them `web`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins.datasets import _collections
from shiftbench.systems.neural_ranking_robustness.datasets import _semanlink

TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
PART_OF = "semanlink"
SOURCES = (_semanlink.SOURCE,)
LICENCE = _semanlink.LICENCE
CITATION = _semanlink.CITATION
REDISTRIBUTE = False
PARAMS: dict[str, object] = {
    "kind": "all",
    "whole": False,
    "share": 1.0,
    "cuts": [0.6, 0.8],
    "collection": "semanlink_documents",
}
KINDS = ("all", "web", "arxiv")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield queries: `text`, `judged` (relevant: 1), `candidates`, `meta` with the kind as `group`.

    Raises:
        ParamsError: no such kind, or no such cuts.
    """
    kind = params["kind"]
    if kind not in KINDS:
        raise ParamsError(f"{params['name']}: kind is {kind!r}; {suggest(kind, KINDS)}")
    first, second = params["cuts"]
    if not 0 < first < second < 1:
        raise ParamsError(f"{params['name']}: cuts is {params['cuts']}; expected two rising shares")
    low, high = {"train": (0.0, first), "val": (first, second), "test": (second, 1.0)}[split]
    if params["whole"]:
        low, high = (0.0, 1.0) if split == "test" else (1.0, 1.0)
    folder = sources[_semanlink.SOURCE]
    queries = (
        query
        for address, query in _semanlink.queries(folder, params["share"])
        if kind in ("all", query.group) and low <= splits.unit("ranking", address) < high
    )
    documents = _semanlink.documents(folder, params["share"])
    yield from _collections.queries(PART_OF, params["collection"], queries, documents)
