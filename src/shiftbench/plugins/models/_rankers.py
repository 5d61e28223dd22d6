"""Rankers: collections, the documents of one that are scored, changed documents, and the list as an answer; helper.

A ranker's file gives a `Scorer`; everything else is here. Ties are broken by the document's id, on scores rounded to
six decimals (nine for lexical ones), so that lists do not differ between machines.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import bag_of_words, shards
from shiftbench.data.bag_of_words import Floats, Ints
from shiftbench.evaluation import nets
from shiftbench.plugins import declare

CANDIDATES = ("all", "clean", "own")
K1, B = 1.5, 0.75  # of the first stage

Document = tuple[str, str]
"""Title and text."""


class Options(declare.Options):
    collections: list[str] = Field([], description="datasets whose documents are ranked")
    collection_shift: str = Field("identity/0", description="shift of the documents and its severity, SHIFT/SEVERITY")
    candidates: Literal["all", "clean", "own"] = Field(
        "clean", description="documents that are scored: all, the query's, or BM25's for the query as it is now"
    )
    first_stage: int = Field(100, ge=1, description="candidates of BM25 under `candidates: own`")
    depth: int = Field(1000, ge=1, description="documents of a list at most")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The shards of the collections, under `collection_shift`."""
    shift, _, severity = params["collection_shift"].partition("/")
    return [refs.shards(name, "test", shift, float(severity)) for name in params["collections"]]


def whole(document: Document) -> str:
    """Title and text as one text."""
    title, text = document
    return f"{title}. {text}" if title else text


class Collection:
    """The documents of one dataset, in the order of their ids.

    Attributes:
        name: of the dataset.
        ids: of the documents, ascending.
        documents: their titles and texts.
    """

    def __init__(self, name: str, folder: Path) -> None:
        samples = sorted(shards.read(folder), key=lambda sample: sample.fields["id"])
        self.name = name
        self.ids: list[str] = [sample.fields["id"] for sample in samples]
        self.documents: list[Document] = [(sample.fields["title"], sample.fields["text"]) for sample in samples]
        self.at = {document: place for place, document in enumerate(self.ids)}

    @cached_property
    def index(self) -> bag_of_words.Index:
        """Words of title and text together."""
        return bag_of_words.Index(whole(document) for document in self.documents)

    def places(self, documents: Sequence[str]) -> Ints:
        """Ranks of documents, int64 (m,).

        Raises:
            ModelError: it does not have one.
        """
        for document in documents:
            if document not in self.at:
                raise ModelError(f"the collection {self.name} has no document {document!r}")
        return np.array([self.at[document] for document in documents], dtype=np.int64)


class Collections:
    """The collections of a model, read when they are first asked for."""

    def __init__(self, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> None:
        if not params["collections"]:
            raise ParamsError("a ranker needs `collections`: names of datasets that are documents")
        names = {ref.name for ref in needs(params)}
        self._folders = {
            ref.parts[0]: path.parent for ref, path in inputs.items() if ref.kind == "shards" and ref.name in names
        }
        self._read: dict[str, Collection] = {}

    def names(self) -> list[str]:
        """Their names, sorted."""
        return sorted(self._folders)

    def __getitem__(self, name: str) -> Collection:
        if name not in self._folders:
            raise ModelError(
                f"queries of the collection {name!r}, which the model does not rank; add it to its option "
                f"`collections` ({suggest(name, self._folders)})"
            )
        if name not in self._read:
            self._read[name] = Collection(name, self._folders[name])
        return self._read[name]

    def of(self, sample: Sample) -> Collection:
        """The collection that a query is asked of."""
        meta = sample.fields.get("meta") or {}
        if "collection" not in meta:
            raise ModelError(f"{sample.key}: no `meta.collection`, so it is no query")
        return self[meta["collection"]]


class Scorer(Protocol):
    """What a ranker's file gives."""

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The scores of documents of a collection, float64 (m,), higher is better."""
        ...

    def changed(self, query: str, collection: Collection, documents: Sequence[Document]) -> Floats:
        """The scores of texts that replace documents, float64 (m,)."""
        ...


class Lexical:
    """A score of the words that query and document share.

    Args:
        score: index, terms (t,), counts (m, t), lengths (m,) -> scores (m,).
    """

    def __init__(self, score: Callable[[bag_of_words.Index, Sequence[str], Floats, Floats], Floats]) -> None:
        self.score = score

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The scores of documents of the collection."""
        terms, index = bag_of_words.words(query), collection.index
        return self.score(index, terms, index.counts(terms, places), index.lengths[places])

    def changed(self, query: str, collection: Collection, documents: Sequence[Document]) -> Floats:
        """The scores of other texts under the collection's statistics."""
        terms = bag_of_words.words(query)
        counted = [bag_of_words.count(whole(document), terms) for document in documents]
        counts, lengths = zip(*counted, strict=True)
        return self.score(collection.index, terms, np.stack(counts), np.array(lengths))


class _Remembered:
    """A scorer that is asked once for the same query and candidates: documents are attacked under unchanged queries."""

    def __init__(self, scorer: Scorer, most: int = 1024) -> None:
        self.scorer, self.most = scorer, most
        self.changed = scorer.changed
        self._known: dict[tuple[str, str, bytes], Floats] = {}

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The scores of documents of the collection."""
        name = query, collection.name, hashlib.sha256(places.tobytes()).digest()
        if name not in self._known:
            if len(self._known) == self.most:
                self._known.pop(next(iter(self._known)))
            self._known[name] = self.scorer.scores(query, collection, places)
        return self._known[name].copy()


def predictor(
    scorer: Scorer, inputs: Mapping[Ref, Path], params: Mapping[str, Any], decimals: int = 6
) -> nets.Predictor:
    """The predictor of a ranker.

    `scorer`: scores documents.
    `params`: those of `Options`. `candidates: clean` are the sample's own, of the query without its shift.
    `decimals`: scores that agree to so many are equal.
    """
    if params["candidates"] not in CANDIDATES:
        raise ParamsError(f"candidates is {params['candidates']!r}; {suggest(params['candidates'], CANDIDATES)}")
    known, once = Collections(inputs, params), _Remembered(scorer)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        answers = [_answer(sample, known.of(sample), once, params, decimals) for sample in samples]
        return {name: ragged([answer[name] for answer in answers]) for name in answers[0]}

    return predict


def ragged(values: Sequence[Any]) -> nets.Array:
    """Lists of any length as an object array (n,)."""
    array = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        array[at] = value
    return array


def _answer(
    sample: Sample, collection: Collection, scorer: Scorer, params: Mapping[str, Any], decimals: int
) -> dict[str, Any]:
    query = sample.fields["text"]
    places = candidates(sample, collection, params)
    before = scorer.scores(query, collection, places)
    after, targets = before.copy(), _targets(sample, collection, places)
    if targets:
        texts = [tuple(sample.fields["documents"][collection.ids[places[t]]]) for t in targets]
        after[targets] = scorer.changed(query, collection, texts)
    best = bag_of_words.rank(after, decimals)
    ranks = [_ranks(bag_of_words.rank(scores, decimals))[targets] for scores in (before, after)]
    first = best[: params["depth"]]
    return {
        "documents": [collection.ids[place] for place in places[first]],
        "scores": np.round(after[first], decimals),
        "targets": [collection.ids[places[target]] for target in targets],
        "before": ranks[0].tolist(),
        "after": ranks[1].tolist(),
    }


def candidates(sample: Sample, collection: Collection, params: Mapping[str, Any]) -> Ints:
    """The places that are scored, ascending, so that ties are broken by id."""
    if params["candidates"] == "all":
        return np.arange(len(collection.ids))
    if params["candidates"] == "clean":
        listed = sample.fields.get("candidates")
        if not listed:
            raise ModelError(f"{sample.key}: no candidates; set `candidates: own` or `all`")
        return np.sort(collection.places(listed))
    terms = bag_of_words.words(sample.fields["text"])
    index = collection.index
    scores = index.bm25(terms, index.counts(terms), index.lengths, K1, B)
    return np.sort(bag_of_words.rank(scores)[: params["first_stage"]])


def _targets(sample: Sample, collection: Collection, places: Ints) -> list[int]:
    """The scored documents that are changed for this query."""
    changed = collection.places(sorted(sample.fields.get("documents") or {}))
    return np.flatnonzero(np.isin(places, changed)).tolist()


def _ranks(best: Ints) -> Ints:
    ranks = np.empty(len(best), dtype=np.int64)
    ranks[best] = np.arange(1, len(best) + 1)
    return ranks


def labelled(
    samples: Sequence[Sample], known: Collections, params: Mapping[str, Any]
) -> list[tuple[Sample, Collection, Ints, Ints]]:
    """Queries with (collection, places, grades) of their candidates, where some are relevant and some not."""
    queries = []
    for sample in samples:
        collection = known.of(sample)
        places = candidates(sample, collection, params)
        judged = sample.fields["judged"]
        grades = np.array([max(0, judged.get(collection.ids[place], 0)) for place in places])
        if grades.any() and not grades.all():
            queries.append((sample, collection, places, grades))
    return queries


def validation(samples: Sequence[Sample], predict: Callable[[Sequence[Sample]], nets.Outputs]) -> float:
    """The mean nDCG@10 of a predictor.

    Raises:
        ModelError: there is no query.
    """
    if not samples:
        raise ModelError("there are no validation queries to choose by; take more of the split")
    from shiftbench.plugins.tasks import _ranked

    lists = predict(samples)["documents"]
    gains = [_ranked.ndcg(ranked, sample.fields["judged"]) for ranked, sample in zip(lists, samples, strict=True)]
    return float(np.mean(gains))
