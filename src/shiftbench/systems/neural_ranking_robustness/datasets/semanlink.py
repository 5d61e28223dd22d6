"""Semanlink's tags as queries for its bookmarks (`semanlink_documents`).

They are split by the hash of the tag's address. Candidates are the first hundred documents of BM25. Source and rules:
`_semanlink`; 734 queries, 650 of them `web`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.plugins import declare
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
KINDS = ("all", "web", "arxiv")


class Options(declare.Options):
    kind: Literal["all", "web", "arxiv"] = Field("all", description="type of the queries")
    whole: bool = Field(False, description="put all queries into the test split")
    share: _semanlink.Share = 1.0
    cuts: list[float] = Field(
        [0.6, 0.8], min_length=2, max_length=2, description="shares at which train and val end, rising"
    )
    collection: str = Field("semanlink_documents", description="data set of the documents that queries search")


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
