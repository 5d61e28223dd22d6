"""Queries with judgements in TREC's layout, of the user's own or of ir_datasets; `trec_documents` are the documents.

    datasets:
      mine: {use: trec, path: /data/mine, collection: mine_documents}
      mine_documents: {use: trec_documents, path: /data/mine}
      passages: {use: trec, ids: {test: msmarco-passage/dev/small}, collection: passage_documents}

Source and layout: `_trec`. Nothing is downloaded but by ir_datasets, and shards stay local.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.sample import Sample
from shiftbench.plugins.datasets import _collections, _trec

TITLE = "TREC queries"
TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
PART_OF = "trec"
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = "the authors of the collection; MacAvaney et al., ir_datasets, SIGIR 2021"
REDISTRIBUTE = False
PARAMS: dict[str, object] = {
    "path": "",
    "ids": {},
    "limit": 0,
    "types": "",
    "kind": "",
    "without": "",
    "collection": "trec_documents",
    "licence": "",
}
wants = _trec.wants


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the queries of a split: `text`, `judged`, `candidates`, `meta`."""
    known = list(_trec.documents(params))
    rows = _trec.queries(split, params)
    for sample in _collections.queries(PART_OF, params["collection"], rows, known):
        yield Sample(sample.key.replace("/all/", f"/{split}/"), sample.fields)
