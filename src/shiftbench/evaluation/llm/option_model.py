"""A local language model that gives the probability of each of several answers, and its own answer.

A request whose decoding has `options`, a JSON list of texts, is answered by JSON: `logs`, of each option the
log-probability of its shortest beginning that no other option has, in tokens (nats, to 1e-4), and `text`, the
model's continuation, as without options (`max_new_tokens` 0: empty). Byte-level vocabularies need more than a first
token to tell words of other scripts apart. All other requests are answered as by `local_model.Local`.

In float32: bfloat16 has ties between options. Source: scoring answers by likelihood as in Brown et al. 2020,
https://arxiv.org/abs/2005.14165, section 2.4; first tokens of options as in XTRUST's specification here.
"""

import copy
import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from shiftbench.base.errors import ModelError
from shiftbench.evaluation.llm.client import Request
from shiftbench.evaluation.llm.local_model import Local, _Drawn

OPTIONS = "options"
DIGITS = 4
Ids = list[int]


def distinct_prefixes(options: Sequence[Ids]) -> list[Ids]:
    """Shortest beginning of each option that no other option begins with.

    Raises:
        ModelError: one option is the beginning of another, or empty.

    Example:
        >>> distinct_prefixes([[5, 1, 7], [5, 2], [9, 9]])
        [[5, 1], [5, 2], [9]]
    """
    prefixes = []
    for number, option in enumerate(options):
        others = [other for position, other in enumerate(options) if position != number]
        lengths = range(1, len(option) + 1)
        short = [n for n in lengths if all(other[:n] != option[:n] for other in others)]
        if not short:
            raise ModelError(f"option {number} is empty, or the beginning of another, in tokens: {option}")
        prefixes.append(option[: short[0]])
    return prefixes


class OptionModel(Local):
    """A chat model in a GGUF file that also scores options, in float32; else as `local_model.Local`."""

    def answer(self, requests: Sequence[Request]) -> Iterator[str]:
        """Yield one answer per request, in order, a batch at a time."""
        for has_options, group in itertools.groupby(requests, lambda one: OPTIONS in one.decoding):
            for parameter in self._net.parameters():  # and back: bfloat16 loses nothing in float32
                parameter.data = parameter.data.to(torch.float32 if has_options else torch.bfloat16)
            yield from super().answer(list(group))

    def _decode(self, requests: Sequence[Request], prompts: list[Ids], shared: int, prefix: Any) -> list[str]:
        options_by_row = [str(request.decoding.get(OPTIONS, "")) for request in requests]
        if not any(options_by_row):
            return super()._decode(requests, prompts, shared, prefix)
        answers = [""] * len(requests)
        for options in dict.fromkeys(options_by_row):
            rows = [row for row, row_options in enumerate(options_by_row) if row_options == options]
            members, texts = [requests[row] for row in rows], [prompts[row] for row in rows]
            for row, answer in zip(rows, self._scored(members, texts, shared, prefix), strict=True):
                answers[row] = answer
        return answers

    def _scored(self, requests: Sequence[Request], prompts: list[Ids], shared: int, prefix: Any) -> list[str]:
        batch = _Batch(self, prompts, shared, prefix)
        options = json.loads(str(requests[0].decoding[OPTIONS]))
        ids = [self._tokens(text, add_special_tokens=False)["input_ids"] for text in options]
        logs = torch.stack([batch.log_probability(one) for one in distinct_prefixes(ids)], 1).tolist()
        answers = [_Drawn(self, one) for one in requests]
        if int(requests[0].decoding["max_new_tokens"]):
            batch.draw(answers)
        rounded = [[round(value, DIGITS) for value in row] for row in logs]
        return [
            json.dumps({"logs": row, "text": one.text}, ensure_ascii=False)
            for row, one in zip(rounded, answers, strict=True)
        ]


class _Batch:
    """Prompts whose keys and values are cached, and their continuations."""

    def __init__(self, model: OptionModel, prompts: list[Ids], shared: int, prefix: Any) -> None:
        longest = max(map(len, prompts))
        padding = [longest - len(prompt) for prompt in prompts]
        rows = [[model._end] * pad + p[shared:] for pad, p in zip(padding, prompts, strict=True)]
        mask = torch.ones(len(prompts), longest, dtype=torch.int64)
        for row, pad in enumerate(padding):
            mask[row, shared : shared + pad] = 0
        self._model, self._mask, self._cache = model, mask, copy.deepcopy(prefix)
        if self._cache is not None:
            self._cache.batch_repeat_interleave(len(prompts))
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        self._next = self._read(torch.tensor(rows), places, mask, keep=1)[:, -1]

    def _read(self, rows: Any, places: Any, mask: Any, keep: int) -> torch.Tensor:
        """Logits float32 (n, keep, V) behind the last tokens of rows; the cache grows by them."""
        model = self._model
        output = model._net(
            input_ids=rows, attention_mask=mask, position_ids=places, use_cache=True,
            logits_to_keep=keep, **{model._past: self._cache},
        )  # fmt: skip
        self._cache = output.past_key_values
        logits: torch.Tensor = output.logits
        return logits

    def log_probability(self, ids: Ids) -> torch.Tensor:
        """Log-probability that the next tokens are `ids`; float32 (n,)."""
        count, length = self._mask.shape
        logits = self._next[:, None]
        if len(ids) > 1:
            rows = torch.tensor([ids[:-1]]).expand(count, -1)
            mask = torch.cat([self._mask, torch.ones_like(rows)], 1)
            places = mask.cumsum(1)[:, length:] - 1
            more = self._read(rows, places, mask, keep=len(ids) - 1)
            self._cache.crop(1 - len(ids))  # removes these tokens again
            logits = torch.cat([logits, more], 1)
        terms = logits.log_softmax(-1)[:, range(len(ids)), ids]
        return terms.sum(1)

    def draw(self, drawn: list[_Drawn]) -> None:
        """Let each answer grow until it is done; the batch is used up."""
        mask, logits = self._mask, self._next
        while True:
            tokens = [answer.next(row) for answer, row in zip(drawn, logits, strict=True)]
            rest = [row for row, answer in enumerate(drawn) if not answer.done]
            if not rest:
                return
            if len(rest) < len(drawn):  # finished answers leave the batch
                self._cache.batch_select_indices(torch.tensor(rest))
            drawn = [drawn[row] for row in rest]
            mask = torch.cat([mask[rest], torch.ones(len(rest), 1, dtype=torch.int64)], 1)
            step = torch.tensor([[tokens[row]] for row in rest])
            logits = self._read(step, mask.cumsum(1)[:, -1:] - 1, mask, keep=1)[:, -1]
