"""Helper of attacks on documents: the document whose rank shall rise, and the texts of the collection.

The target is the first document at or behind `rank` of the sample's `candidates` that is not relevant. An attack
puts its new text into the sample's field `documents`, for this query alone: judgements, collection and query stay.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels

RANGE = _levels.RANGE


class Options(declare.Options):
    collection: str = Field("", description="data set of the documents; one of them is attacked")
    rank: int = Field(50, ge=1, description="first rank of the document that is attacked")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The documents: those of `collection`."""
    return [refs.shards(params["collection"], "test")] if params["collection"] else []


def target(
    name: str, sample: Sample, params: Mapping[str, Any], inputs: Mapping[Ref, Path] | None
) -> tuple[str, str, str] | None:
    """ID, title and text of the document to attack; None if no candidate fits.

    Raises:
        DataError: the sample is no query with candidates, or the documents are not here; names what is missing.
    """
    for field in ("text", "judged", "candidates"):
        if field not in sample.fields:
            raise DataError(f"no field {field!r}, which the shift {name!r} needs")
    documents = refs.shards(params["collection"], "test")
    folder = next((path.parent for ref, path in (inputs or {}).items() if ref.name == documents.name), None)
    if folder is None:
        raise DataError(f"{name} reads documents, which are not here; set shifts.{name}.collection, in a benchmark")
    judged = sample.fields["judged"]
    candidates = sample.fields["candidates"][int(params["rank"]) - 1 :]
    document = next((candidate for candidate in candidates if judged.get(candidate, 0) <= 0), None)
    return (document, *_documents(str(folder))[document]) if document else None


def with_document(sample: Sample, document: str, title: str, text: str) -> Sample:
    """The sample with a changed document."""
    documents = sample.fields.get("documents") or {}
    return sample.with_field("documents", {**documents, document: [title, text]})


@lru_cache(maxsize=4)
def _documents(folder: str) -> dict[str, tuple[str, str]]:
    return {
        sample.fields["id"]: (sample.fields["title"], sample.fields["text"]) for sample in shards.read(Path(folder))
    }
