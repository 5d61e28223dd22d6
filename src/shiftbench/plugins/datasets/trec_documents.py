"""A collection in TREC's layout, of the user's own or of ir_datasets, for the queries of `trec`.

Source and layout: `_trec`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _collections, _options, _trec

TITLE = "TREC documents"
TASK = "ranking"
CLASSES: tuple[str, ...] = ()
NATIVE = ("test",)
PART_OF = "trec_documents"
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = "the authors of the collection; MacAvaney et al., ir_datasets, SIGIR 2021"
REDISTRIBUTE = False
IN_ORDER = True
wants = _trec.wants


class Options(declare.Options):
    path: str = Field("", description="folder of the collection")
    ids: dict[_options.Split, str] = Field({}, description="id of ir_datasets, instead of `path`; {}: none")
    licence: fields.Licence = ""


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the documents: `id`, `title`, `text`."""
    yield from _collections.documents("trec_documents", _trec.documents(params))
