"""Text towers that take learnable token vectors before a name: of `dual_encoder` (all-MiniLM-L6-v2) and of `open_clip`.

    prompt = [begin, v_1 .. v_M, tokens(name), ".", end]

Source: Zhang et al. 2024, LAPT (arXiv:2407.08966), section 3.2; CoOp (Zhou et al., IJCV 2022), section 3: the class's
tokens come last. Vectors are token embeddings, to which the tower adds its positions. Gradients reach the vectors.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _sentences, _word_pieces

AT_ONCE = 64
"""Prompts of one forward pass that records no gradient."""


class Tower(Protocol):
    """Interface of a text tower for trainers."""

    def context_of(self, text: str) -> torch.Tensor:
        """The token vectors of a text, float32 (m, width)."""
        ...

    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """The directions of whole prompts, float32 (n, d), without gradients."""
        ...

    def encode_words(self, words: Sequence[str], context: torch.Tensor) -> torch.Tensor:
        """The directions of words after a context (m, width), float32 (n, d); gradients reach the context."""
        ...


class SentenceTower:
    """all-MiniLM-L6-v2 and the map of `dual_encoder`: a text's vector is the mean over its tokens, of length 1, mapped.

    Prompts of one length make a batch, so that nothing is padded. The table of tokens is cut to those that occur, with
    the context's rows below: `_sentences.encode` looks these up as it does any token.

    Args:
        model: has `text`, the map.
        folder: of the encoder's original.
    """

    def __init__(self, model: Any, folder: Path) -> None:
        self.model = model
        self.vocabulary, state = _load(folder)
        device = model.text.weight.device
        self.state = {name: tensor.to(device) for name, tensor in state.items()}
        self.table = self.state["embeddings.word_embeddings.weight"]

    def context_of(self, text: str) -> torch.Tensor:
        """The token vectors of a text, float32 (m, 384)."""
        return self.table[torch.tensor(self._ids(text)[1:-1])].clone()

    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """The directions of whole prompts, float32 (n, 384)."""
        with torch.no_grad():
            return self._directions([self._ids(prompt) for prompt in prompts], self.table[:0])

    def encode_words(self, words: Sequence[str], context: torch.Tensor) -> torch.Tensor:
        """The directions of words after a context (m, 384), float32 (n, 384)."""
        first = len(self.table)
        context_ids = list(range(first, first + len(context)))
        ids = [self._ids(f"{word}.") for word in words]
        return self._directions([[one[0], *context_ids, *one[1:]] for one in ids], context)

    def _ids(self, text: str) -> list[int]:
        return _word_pieces.tokens(text, self.vocabulary, _sentences.LENGTH)

    def _directions(self, prompts: list[list[int]], context: torch.Tensor) -> torch.Tensor:
        used = sorted({one for ids in prompts for one in ids if one < len(self.table)})
        context_ids = range(len(self.table), len(self.table) + len(context))
        at = {one: row for row, one in enumerate([*used, *context_ids])}
        table = torch.cat([self.table[used], context])
        state = {**self.state, "embeddings.word_embeddings.weight": table}
        order: list[int] = []
        parts = []
        for rows in _batches(prompts, grouped=context.requires_grad):
            order += rows
            parts.append(_sentences.encode([[at[i] for i in prompts[row]] for row in rows], state))
        vectors = F.normalize(torch.cat(parts), dim=1)
        back = torch.argsort(torch.tensor(order))
        return F.normalize(self.model.text(vectors[back]), dim=1)


class ClipTower:
    """The text tower of open_clip: what its token embedding gives at places 1 to M is replaced by the context.

    Args:
        model: has `clip`.
        tokenize: texts to ids (n, length), the begin of a text first.
    """

    def __init__(self, model: Any, tokenize: Any) -> None:
        self.clip, self.tokenize = model.clip, tokenize

    def context_of(self, text: str) -> torch.Tensor:
        """The token vectors of a text, float32 (m, width): one for each of its words."""
        with torch.no_grad():
            vectors: torch.Tensor = self.clip.token_embedding(self._ids([text]))
        return vectors[0, 1 : 1 + len(text.split())].float().clone()

    def texts(self, prompts: Sequence[str]) -> torch.Tensor:
        """The directions of whole prompts, float32 (n, d)."""
        with torch.no_grad():
            parts = [
                self.clip.encode_text(self._ids(prompts[low : low + AT_ONCE]))
                for low in range(0, len(prompts), AT_ONCE)
            ]
        return F.normalize(torch.cat(parts).float(), dim=1)

    def encode_words(self, words: Sequence[str], context: torch.Tensor) -> torch.Tensor:
        """The directions of words after a context (m, width), float32 (n, d)."""
        filler = " ".join(["X"] * len(context))
        step = len(words) if context.requires_grad else AT_ONCE
        handle = self.clip.token_embedding.register_forward_hook(
            lambda _module, _ids, output: _with_context(output, context)
        )
        try:
            parts = [
                self.clip.encode_text(self._ids([f"{filler} {word}." for word in words[low : low + step]]))
                for low in range(0, len(words), step)
            ]
        finally:
            handle.remove()
        return F.normalize(torch.cat(parts).float(), dim=1)

    def _ids(self, prompts: Sequence[str]) -> torch.Tensor:
        ids: torch.Tensor = self.tokenize(list(prompts))
        return ids.to(self.clip.logit_scale.device)


def _with_context(vectors: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Token vectors (n, length, width) with the context at places 1 to M."""
    own = context.to(vectors.dtype).expand(len(vectors), -1, -1)
    return torch.cat([vectors[:, :1], own, vectors[:, 1 + len(context) :]], dim=1)


def _batches(prompts: Sequence[Sequence[int]], *, grouped: bool) -> list[list[int]]:
    """Rows of prompts of one length: all at once, or `AT_ONCE`."""
    lengths: dict[int, list[int]] = {}
    for row, ids in enumerate(prompts):
        lengths.setdefault(len(ids), []).append(row)
    step = len(prompts) if grouped else AT_ONCE
    return [rows[low : low + step] for _, rows in sorted(lengths.items()) for low in range(0, len(rows), step)]


@cache
def _load(folder: Path) -> tuple[dict[str, int], nets.State]:
    vocabulary: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return vocabulary, nets.read_state(folder / "model.safetensors")


def _sentence_tower(model: nn.Module, _params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Tower:
    return SentenceTower(model, inputs[refs.sources(_sentences.SOURCE)].parent)


def _clip_tower(model: nn.Module, params: Mapping[str, Any], _inputs: Mapping[Ref, Path]) -> Tower:
    return ClipTower(model, importlib.import_module("open_clip").get_tokenizer(params["name"]))


TOWERS = {"dual_encoder": _sentence_tower, "open_clip": _clip_tower}


def of(encoder: str, model: nn.Module, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Tower:
    """The text tower of a network.

    Args:
        encoder: the model's file.
        model: built by it.
        params: its options.
        inputs: where its `needs` lie.

    Raises:
        ParamsError: a model whose text tower takes no token vectors.
    """
    if encoder not in TOWERS:
        raise ParamsError(f"prompted: the text tower of {encoder!r} takes no token vectors; {suggest(encoder, TOWERS)}")
    return TOWERS[encoder](model, params, inputs)
