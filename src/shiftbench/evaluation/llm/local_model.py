"""A language model on this machine: the GGUF file of an original, through transformers, in bfloat16 on the CPU.

Requests with the same first turn share its keys and values; a batch is padded on the left. Each request has its own
random words, so that an answer depends on its batch by rounding alone. It ends with the model's end of
turn, `stop` of its decoding, or `max_new_tokens`.
"""

import copy
import inspect
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base.errors import ModelError
from shiftbench.base.rng import RandomStream
from shiftbench.evaluation.llm import client
from shiftbench.evaluation.llm.client import Request

IM_END = "<|im_end|>"


class Local:
    """A chat model in a GGUF file.

    Args:
        name: the original that holds it, one `.gguf` file.
        folder: where the original lies.
        batch: requests at a time.
        threads: of torch.

    Raises:
        ModelError: a library is missing, or the file is no such model.
    """

    def __init__(self, name: str, folder: Path, batch: int = 16, threads: int = 1) -> None:
        self.model, self.date = client.identity(name), None
        self._batch = batch
        torch.set_num_threads(threads)
        self._tokens, self._net = load(folder)
        parameters = inspect.signature(self._net.forward).parameters
        self._past = "cache" if "cache" in parameters else "past_key_values"  # depends on the version
        self._end = int(self._tokens.convert_tokens_to_ids(IM_END))

    def answer(self, requests: Sequence[Request]) -> Iterator[str]:
        """Yield one answer per request, in order, a batch at a time."""
        for _, group in itertools.groupby(requests, lambda request: request.messages[0]):
            members = list(group)
            prompts = [self._prompt(request) for request in members]
            shared = _shared(prompts)
            prefix = self._read(prompts[0][:shared]) if shared else None
            for start in range(0, len(members), self._batch):
                batch = slice(start, start + self._batch)
                with torch.inference_mode():
                    yield from self._decode(members[batch], prompts[batch], shared, prefix)

    def _prompt(self, request: Request) -> list[int]:
        if request.raw is not None:
            raw: list[int] = self._tokens(request.raw, add_special_tokens=False)["input_ids"]
            return raw
        *turns, (role, text) = request.messages
        is_opened = role == "assistant"
        messages = turns if is_opened else request.messages
        chat = "".join(f"<|im_start|>{speaker}\n{words}{IM_END}\n" for speaker, words in messages)
        chat += "<|im_start|>assistant\n" + (text if is_opened else "")
        ids: list[int] = self._tokens(chat, add_special_tokens=False)["input_ids"]
        return ids

    def _read(self, ids: list[int]) -> Any:
        """Keys and values of tokens that prompts begin with."""
        with torch.inference_mode():
            return self._net(input_ids=torch.tensor([ids]), use_cache=True).past_key_values

    def _decode(self, requests: Sequence[Request], prompts: list[list[int]], shared: int, prefix: Any) -> list[str]:
        count, longest = len(requests), max(len(prompt) for prompt in prompts)
        padding = [longest - len(prompt) for prompt in prompts]
        rows = [[self._end] * pad + p[shared:] for pad, p in zip(padding, prompts, strict=True)]
        mask = torch.ones(count, longest, dtype=torch.int64)
        for row, pad in enumerate(padding):
            mask[row, shared : shared + pad] = 0
        cache = copy.deepcopy(prefix)
        if cache is not None:
            cache.batch_repeat_interleave(count)
        answers = [_Drawn(self, request) for request in requests]
        step, places = torch.tensor(rows), (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        active = answers
        while True:
            output = self._net(
                input_ids=step, attention_mask=mask, position_ids=places, use_cache=True,
                logits_to_keep=1, **{self._past: cache},
            )  # fmt: skip
            cache = output.past_key_values
            tokens = [answer.next(row) for answer, row in zip(active, output.logits[:, -1], strict=True)]
            rest = [row for row, answer in enumerate(active) if not answer.done]
            if not rest:
                break
            if len(rest) < len(active):  # finished answers leave the batch
                cache.batch_select_indices(torch.tensor(rest))
            active = [active[row] for row in rest]
            step = torch.tensor([[tokens[row]] for row in rest])
            mask = torch.cat([mask[rest], torch.ones(len(rest), 1, dtype=torch.int64)], dim=1)
            places = places[rest, -1:] + 1
        return [answer.text for answer in answers]


class _Drawn:
    """The answer to one request, token by token."""

    def __init__(self, model: Local, request: Request) -> None:
        decoding = dict(request.decoding)
        self._model, self._ids = model, list[int]()
        self._temperature = float(decoding["temperature"])
        self._limit, self._stop = int(decoding["max_new_tokens"]), str(decoding.get("stop", ""))
        key = request.key(model.model).digest
        self._words = RandomStream(request.seed, "llm", model.model, key)
        self.done, self.text = False, ""

    def next(self, logits: torch.Tensor) -> int:
        """Draw a token and return it."""
        token = self._draw(logits)
        if token != self._model._end:
            self._ids.append(token)
            self.text = self._model._tokens.decode(self._ids)
        stopped = bool(self._stop) and self._stop in self.text
        self.done = token == self._model._end or len(self._ids) >= self._limit or stopped
        return token

    def _draw(self, logits: torch.Tensor) -> int:
        """Most likely token at temperature 0, else one from the cumulative distribution."""
        if self._temperature == 0:
            return int(logits.argmax())
        shares = (logits.double() / self._temperature).softmax(0).cumsum(0).numpy()
        point = float(self._words.raw(1)[0] >> np.uint64(11)) / 2**53
        return min(int(np.searchsorted(shares, point * shares[-1], side="right")), len(shares) - 1)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """Number of tokens with which all prompts begin, at most all but the last of the shortest."""
    shortest = min(len(prompt) for prompt in prompts) - 1
    agreements = (len({prompt[index] for prompt in prompts}) == 1 for index in range(shortest))
    return next((index for index, equal in enumerate(agreements) if not equal), shortest)


def load(folder: Path) -> tuple[Any, Any]:
    """Tokeniser and model, in bfloat16, of a folder with one GGUF file.

    Raises:
        ModelError: a library is missing, or the file is no such model.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is downloaded
    try:
        import gguf  # noqa: F401 - transformers reads the file by it
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ModuleNotFoundError as error:
        raise ModelError(
            f"a language model here needs {error.name}, which is not installed; run `pip install 'shiftbench[llm]'`"
        ) from None
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise ModelError(f"{folder} holds {len(files)} .gguf files; expected one")
    try:
        tokeniser = AutoTokenizer.from_pretrained(folder, gguf_file=files[0].name)
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=files[0].name, dtype=torch.bfloat16)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{files[0]} is no model that transformers can read: {error}") from None
    model.requires_grad_(requires_grad=False)
    return tokeniser, model
