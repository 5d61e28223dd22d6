"""Documents and queries as samples of the task `ranking`, whatever collection they are of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from shiftbench.base.errors import DataError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import bag_of_words

FIRST_STAGE = 100  # documents that a first stage hands on
K1, B = 1.5, 0.75


@dataclass(frozen=True, slots=True)
class Document:
    """A document: `id` unique in its collection, and what is searched of it."""

    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text, as one text."""
        return f"{self.title}. {self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """A query: the end of its sample's key, its text, document -> grade, its group.

    `candidates` are the documents of a first stage, None: those of BM25. `without` is never among these.
    """

    id: str
    text: str
    judged: Mapping[str, int]
    group: str | None = None
    candidates: Sequence[str] | None = None
    without: str | None = None


def documents(name: str, rows: Iterable[Document]) -> Iterator[Sample]:
    """Yield documents as samples, numbered as they come.

    Args:
        name: what keys begin with.
        rows: the documents.

    Raises:
        DataError: two have one id.
    """
    seen: set[str] = set()
    for number, one in enumerate(rows):
        if one.id in seen:
            raise DataError(f"document {one.id!r} occurs twice; ids are unique in a collection")
        seen.add(one.id)
        fields = {"id": one.id, "title": one.title, "text": one.text}
        yield Sample(f"{name}/all/{number:07d}", fields)


def queries(name: str, collection: str, rows: Iterable[Query], known: Sequence[Document]) -> Iterator[Sample]:
    """Yield queries as samples.

    Args:
        name: what keys begin with.
        collection: the dataset that has the documents.
        rows: the queries.
        known: its documents.

    Raises:
        DataError: an id twice, no judgements, or a judged document that the collection does not have.
    """
    ids = sorted(one.id for one in known)
    have, seen = set(ids), set()
    first = _FirstStage(known, ids)
    for query in rows:
        if query.id in seen:
            raise DataError(f"query {query.id!r} occurs twice; ids are unique")
        seen.add(query.id)
        _refuse(query, have, collection)
        candidates = query.candidates or first(query)
        fields = {
            "text": query.text,
            "judged": dict(query.judged),
            "candidates": list(candidates),
            "meta": {"collection": collection, **({"group": query.group} if query.group else {})},
        }
        yield Sample(f"{name}/all/{query.id}", fields)


def _refuse(query: Query, have: set[str], collection: str) -> None:
    if not query.judged:
        raise DataError(f"query {query.id!r} has no judgements; leave it out, or add it to the qrels")
    for what, named in (("judges", query.judged), ("ranks", query.candidates or ())):
        unknown = [one for one in named if one not in have]
        if unknown:
            raise DataError(
                f"query {query.id!r} {what} document {unknown[0]!r}, which {collection} does not have "
                f"({suggest(unknown[0], have) if len(have) < 20_000 else f'{len(have)} documents'})"
            )


class _FirstStage:
    """BM25 over a collection, indexed when a query without candidates comes."""

    def __init__(self, known: Sequence[Document], ids: Sequence[str]) -> None:
        self.known, self.ids = known, ids

    @cached_property
    def index(self) -> bag_of_words.Index:
        """Words of all documents, in the order of their ids."""
        at = {one.id: one for one in self.known}
        return bag_of_words.Index(at[one].whole for one in self.ids)

    def __call__(self, query: Query) -> list[str]:
        """The best documents; ties by id."""
        terms, index = bag_of_words.words(query.text), self.index
        scores = index.bm25(terms, index.counts(terms), index.lengths, K1, B)
        best = (self.ids[place] for place in bag_of_words.rank(scores)[: FIRST_STAGE + 1])
        return [one for one in best if one != query.without][:FIRST_STAGE]
