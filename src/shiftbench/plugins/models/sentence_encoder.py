"""A bi-encoder: query and documents as vectors of all-MiniLM-L6-v2, scored by their cosine; nothing is trained.

    s(q, d) = cos(e(q), e(d)),    texts cut at `length` word pieces

The vectors of the documents are the weights (`vectors.COLLECTION`, in the order of the ids), which the trainer `index`
makes once; queries and changed documents are embedded when they come. With `index`
(`semanlink_documents/minilm-index-s0`) the vectors are those of other weights, so that a variant needs none of its
own. Words at the end of a long text are not seen. Source: Reimers and Gurevych 2019; the encoder is `_sentences`.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.data.bag_of_words import Floats, Ints
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers, _sentences, _word_pieces
from shiftbench.plugins.models._rankers import Collection, Collections, Document

TASK = "ranking"

BATCH = 32
LONG = 24  # characters for each piece that is kept


class Options(_rankers.Options):
    length: int = Field(64, ge=1, description="word pieces of a text at most; the rest is cut off")
    index: str = Field(
        "", description="checkpoint with the documents' vectors, DATASET/ARCH-TRAINER-sSEED; empty: its own"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The encoder, the collections and, where they are others', the vectors."""
    known = [Ref("checkpoints", params["index"])] if params["index"] else []
    return [refs.sources(_sentences.SOURCE), *_rankers.needs(params), *known]


class Encoder:
    """Texts -> vectors of length 1."""

    def __init__(self, inputs: Mapping[Ref, Path], length: int) -> None:
        folder = inputs[refs.sources(_sentences.SOURCE)].parent
        self.vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        self.state = nets.read_state(folder / "model.safetensors")
        self.length = length
        self.one = lru_cache(maxsize=4096)(self._one)  # queries come under many shifts

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Float32 (n, 384); a vector depends on its text alone."""
        return torch.stack([self.one(text) for text in texts])

    def many(self, texts: Sequence[str]) -> torch.Tensor:
        """Float32 (n, 384), texts of one length in batches: several times faster, and last digits may differ."""
        ids = [self._ids(text) for text in texts]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        made = torch.empty(len(ids), _sentences.SIZE)
        for _, group in groupby(order, key=lambda at: len(ids[at])):
            places = list(group)
            for at in range(0, len(places), BATCH):
                some = places[at : at + BATCH]
                with torch.no_grad():
                    made[some] = _sentences.encode([ids[place] for place in some], self.state)
        return F.normalize(made, dim=1)

    def _ids(self, text: str) -> list[int]:
        begin = text[: LONG * self.length]  # cut first: long texts take long to cut into pieces
        return _word_pieces.tokens(begin, self.vocabulary, self.length)

    def _one(self, text: str) -> torch.Tensor:
        with torch.no_grad():
            return F.normalize(_sentences.encode(self._ids(text), self.state), dim=0)


class Scorer:
    """Cosines of vectors."""

    def __init__(self, encoder: Encoder, state: nets.State, weights: Path) -> None:
        self.encoder, self.state, self.weights = encoder, state, weights

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The cosines of documents of the collection."""
        vectors = self.state.get(f"vectors.{collection.name}")
        if vectors is None or len(vectors) != len(collection.ids):
            raise ModelError(f"{self.weights} has not the vectors of {collection.name}; train with `index`")
        return self._cosines(query, vectors[places])

    def changed(
        self,
        query: str,
        collection: Collection,  # noqa: ARG002 - as all scorers
        documents: Sequence[Document],
    ) -> Floats:
        """The cosines of other texts."""
        return self._cosines(query, self.encoder([_rankers.whole(one) for one in documents]))

    def _cosines(self, query: str, vectors: torch.Tensor) -> Floats:
        cosines = vectors @ self.encoder([query])[0]
        return np.asarray(cosines.numpy(), dtype=np.float64)


def index(known: Collections, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The vectors of all documents; none where they are those of other weights."""
    if params["index"]:
        return {}
    encoder = Encoder(inputs, params["length"])
    return {
        f"vectors.{name}": encoder.many([_rankers.whole(one) for one in known[name].documents])
        for name in known.names()
    }


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU."""
    vectors = inputs[Ref("checkpoints", params["index"])] if params["index"] else weights
    scorer = Scorer(Encoder(inputs, params["length"]), nets.read_state(vectors), vectors)
    return _rankers.predictor(scorer, inputs, params)
