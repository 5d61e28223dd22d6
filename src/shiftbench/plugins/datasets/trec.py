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

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _collections, _options, _trec

TITLE = "TREC queries"
TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
PART_OF = "trec"
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = "the authors of the collection; MacAvaney et al., ir_datasets, SIGIR 2021"
REDISTRIBUTE = False
wants = _trec.wants


class Options(declare.Options):
    path: str = Field("", description="folder of the collection, its queries and judgements")
    ids: dict[_options.Split, str] = Field({}, description="ids of ir_datasets, instead of `path`; {}: none")
    limit: int = Field(0, ge=0, description="number of queries of each split; 0: all")
    types: str = Field("", description="file of lines `query <tab> type`; empty: none")
    kind: str = Field("", description="type of the queries that are kept; empty: all")
    without: str = Field("", description="type of the queries that are left out; empty: none")
    collection: str = Field("trec_documents", description="dataset of the documents")
    licence: fields.Licence = ""


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the queries of a split: `text`, `judged`, `candidates`, `meta`."""
    known = list(_trec.documents(params))
    rows = _trec.queries(split, params)
    for sample in _collections.queries(PART_OF, params["collection"], rows, known):
        yield Sample(sample.key.replace("/all/", f"/{split}/"), sample.fields)
