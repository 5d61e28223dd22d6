"""Requests to language models, answered from a record or by a generator.

    Cached(answers, model)               recorded answers alone: a missing answer is an error
    Cached(answers, model, generator)    missing answers are generated and recorded, each as soon as it is there

A generator is `local_model.Local` (weights here) or `endpoint.Endpoint` (an OpenAI-compatible server). It is made when
an answer is missing, so that a complete record loads no model.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shiftbench.base.errors import DataError, ModelError
from shiftbench.data import source_files
from shiftbench.evaluation.llm.answer_cache import Answers, Key

Message = tuple[str, str]
"""Role (`system`, `user`, `assistant`) and text; an `assistant` turn at the end is the opening of the answer.

One message of the role RAW is no turn: the model continues its text as it is.
"""
RAW = "raw"


@dataclass(frozen=True, slots=True)
class Request:
    """One question; equal ones have equal answers.

    Attributes:
        messages: the turns of the conversation.
        template: hash of their template.
        decoding: `temperature` (0: the most likely token), `max_new_tokens`, `stop` (a text at which the answer ends).
        seed: of the sampling.
    """

    messages: tuple[Message, ...]
    template: str
    decoding: Mapping[str, float | int | str | bool]
    seed: int = 0

    @property
    def raw(self) -> str | None:
        """The text to be continued; None: a conversation."""
        role, text = self.messages[0]
        return text if role == RAW else None

    def key(self, model: str) -> Key:
        """Key of its answer by a model."""
        text = json.dumps(self.messages, ensure_ascii=False)
        return Key(model, self.template, self.decoding, self.seed, text)


class Generator(Protocol):
    """Answers requests with one model."""

    @property
    def model(self) -> str:
        """Name of the model, as in `answer_cache.Key`."""

    @property
    def date(self) -> str | None:
        """Date of the answers of an endpoint; None: local weights."""

    def answer(self, requests: Sequence[Request]) -> Iterator[str]:
        """Yield one answer per request, in order, each as soon as it is there."""
        ...


def identity(model: str) -> str:
    """Name of a model in keys: an original by its name and sha256, an endpoint's (`endpoint:NAME`) unchanged.

    Raises:
        ParamsError: no original of that name.
    """
    if ":" in model:
        return model
    (digest,) = (file.sha256 for file in source_files.load_source(model).files.values())
    return f"{model}@{digest[:12]}"


class Cached:
    """Answers each request from the record, or by a generator.

    Args:
        answers: the record.
        model: as in `answer_cache.Key`; see `identity`.
        make: makes the generator; None: nothing is ever generated.
        command: records answers; named in messages.

    Attributes:
        asked: number of requests that went to the generator.
    """

    def __init__(
        self,
        answers: Answers,
        model: str,
        make: Callable[[], Generator] | None = None,
        command: str = "shiftbench answers",
    ) -> None:
        self.answers, self.model, self.asked = answers, model, 0
        self._make, self._command = make, command

    def __call__(self, requests: Sequence[Request]) -> list[str]:
        """The answers, in order.

        Raises:
            DataError: one is not recorded, and nothing may be generated.
            ModelError: the generator failed; its answers up to then are recorded.
        """
        missing = {
            request.key(self.model).digest: request
            for request in requests
            if self.answers.get(request.key(self.model)) is None
        }
        if missing:
            self._ask(missing)
        answers = [self.answers.get(request.key(self.model)) for request in requests]
        return [answer for answer in answers if answer is not None]

    def _ask(self, missing: Mapping[str, Request]) -> None:
        if self._make is None:
            raise DataError(
                f"{self.answers.file(self.model)} holds no answer of {self.model} under the key {next(iter(missing))} "
                f"({len(missing)} are missing); `{self._command}` records them"
            )
        generator = self._make()
        if generator.model != self.model:
            raise ModelError(f"{generator.model} was asked in place of {self.model}")
        self.asked += len(missing)
        requests = list(missing.values())
        for request, answer in zip(requests, generator.answer(requests), strict=True):
            self.answers.put(request.key(self.model), answer, generator.date)
