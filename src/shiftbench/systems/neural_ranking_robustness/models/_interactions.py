"""Input of neural rankers: word pieces of texts and MiniLM's input vectors of them; scorers around the models.

Vectors are those of all-MiniLM-L6-v2's embedding table, scaled to length 1 and not learned any further; the encoder
above the table is not used. Documents are cut at `length` pieces, queries at `query_length`; [CLS] and [SEP] are left
out.
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data.bag_of_words import Floats, Ints
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers, _sentences, _word_pieces
from shiftbench.plugins.models._rankers import Collection, Document

Length = Annotated[int, Field(ge=1, description="word pieces of a document that are read")]
QueryLength = Annotated[int, Field(ge=1, description="word pieces of a query that are read")]
SIZE = _sentences.SIZE
LONG = 24  # characters for each piece that is kept: what is behind them is not read at all
PAD = 0  # the piece [PAD], whose vector is set to zero


class Options(_rankers.Options):
    length: Length = 64
    query_length: QueryLength = 24


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The table of vectors and the collections."""
    return [refs.sources(_sentences.SOURCE), *_rankers.needs(params)]


class Pieces:
    """Texts as numbers of word pieces, and the table of their vectors.

    Attributes:
        table: float32 (pieces, 384), rows of length 1; zero for the padding.
    """

    def __init__(self, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> None:
        folder = inputs[refs.sources(_sentences.SOURCE)].parent
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        self.vocabulary: dict[str, int] = tokenizer["model"]["vocab"]
        state = nets.read_state(folder / "model.safetensors")
        table = F.normalize(state["embeddings.word_embeddings.weight"], dim=1)
        table[PAD] = 0
        self.table = table
        self.length, self.query_length = params["length"], params["query_length"]
        self._collections: dict[str, torch.Tensor] = {}
        self._rarity: dict[str, torch.Tensor] = {}

    def ids(self, text: str, length: int) -> list[int]:
        """The first pieces of a text; the padding alone where it has none."""
        begin = text[: LONG * length]
        return _word_pieces.tokens(begin, self.vocabulary, length + 2)[1:-1] or [PAD]

    def query(self, text: str) -> torch.Tensor:
        """The pieces of a query, int64 (q,)."""
        return torch.tensor(self.ids(text, self.query_length))

    def texts(self, documents: Sequence[Document]) -> torch.Tensor:
        """The pieces of documents, int64 (m, length), padded."""
        pieces = torch.full((len(documents), self.length), PAD)
        for row, document in zip(pieces, documents, strict=True):
            ids = self.ids(_rankers.whole(document), self.length)
            row[: len(ids)] = torch.tensor(ids)
        return pieces

    def documents(self, collection: Collection) -> torch.Tensor:
        """The pieces of a collection, made when they are first asked for."""
        if collection.name not in self._collections:
            self._collections[collection.name] = self.texts(collection.documents)
        return self._collections[collection.name]

    def rarity(self, collection: Collection) -> torch.Tensor:
        """ln(1 + (N - n + 0.5) / (n + 0.5)) of each piece, which n of N documents have; float32 (pieces,)."""
        if collection.name not in self._rarity:
            holding: Counter[int] = Counter()
            for row in self.documents(collection).tolist():
                holding.update(set(row))
            n = np.zeros(len(self.table))
            n[list(holding)] = list(holding.values())
            total = len(collection.ids)
            idf = np.log(1 + (total - n + 0.5) / (n + 0.5))
            self._rarity[collection.name] = torch.from_numpy(idf).float()
        return self._rarity[collection.name]


class Net(torch.nn.Module, ABC):
    """A model that scores the documents of one query; `table` is no part of its state."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._pieces = [pieces]  # in a list, so that it is no submodule and no buffer

    @property
    def pieces(self) -> Pieces:
        """The texts' side."""
        return self._pieces[0]

    @cached_property
    def table(self) -> torch.Tensor:
        """The vectors of pieces."""
        return self.pieces.table

    @abstractmethod
    def forward(self, query: torch.Tensor, idf: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Scores (m,) of documents (m, length) for a query (q,) of pieces with their idf (q,)."""

    def for_query(self, query: str, collection: Collection, documents: torch.Tensor) -> torch.Tensor:
        """The scores of documents given as pieces."""
        ids = self.pieces.query(query)
        scores: torch.Tensor = self(ids, self.pieces.rarity(collection)[ids], documents)
        return scores


class Scorer:
    """A model as a ranker."""

    def __init__(self, model: Net) -> None:
        self.model = model.eval()

    def scores(self, query: str, collection: Collection, places: Ints) -> Floats:
        """The scores of documents of the collection."""
        return self._of(query, collection, self.model.pieces.documents(collection)[places])

    def changed(self, query: str, collection: Collection, documents: Sequence[Document]) -> Floats:
        """The scores of other texts."""
        return self._of(query, collection, self.model.pieces.texts(documents))

    def _of(self, query: str, collection: Collection, documents: torch.Tensor) -> Floats:
        with torch.inference_mode():
            scores = self.model.for_query(query, collection, documents)
        return np.asarray(scores.double().numpy())


def loaded(model: Net, checkpoint: Path, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> nets.Predictor:
    """The predictor of a model with the checkpoint of a file.

    Raises:
        ModelError: weights of another model.
    """
    nets.load_into(model, nets.read_state(checkpoint), checkpoint)
    return _rankers.predictor(Scorer(model), inputs, params)
