"""A language model behind an OpenAI-compatible endpoint. Its answers have a date: they cannot be made again.

Conversations go to `chat/completions`, raw texts to `completions`, which has no template and serves base models. At
most AT_ONCE requests run at a time; answers come in the order of the requests.

Time-outs, refusals for being busy (429), errors of the server, malformed answers and empty turns are tried again after
1, 2, 4, ... seconds; then the error has the last reason. Wrong credentials or a wrong name are not tried again. The
continuation of a raw text may be empty.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from shiftbench.base.errors import ModelError
from shiftbench.evaluation.llm.client import Request

if TYPE_CHECKING:
    import openai

PREFIX = "endpoint:"
AT_ONCE = 16
HOPELESS = (400, 401, 403, 404, 422)


class Endpoint:
    """A model at a URL.

    Args:
        name: the server's name of the model.
        url: of the API, up to `/v1`; None: from the client's environment.
        key: of the API; None: from the client's environment.
        seconds: time limit of a request.
        tries: of one request.
        sleep: waits between two tries; tests replace it.

    Raises:
        ModelError: the client is not installed, or has no credentials.
    """

    def __init__(
        self,
        name: str,
        url: str | None = None,
        key: str | None = None,
        seconds: float = 60.0,
        tries: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model = PREFIX + name
        self.date: str | None = datetime.datetime.now(datetime.UTC).date().isoformat()
        self._name, self._tries, self._sleep = name, tries, sleep
        self._client = _client(url, key, seconds)

    def answer(self, requests: Sequence[Request]) -> Iterator[str]:
        """Yield one answer per request, in order.

        Raises:
            ModelError: a request failed for good; states the reason and how many were answered.
        """

        def answer_one(number: int) -> str:
            progress = f"{number} of {len(requests)} were answered and are kept"
            return self._try(requests[number], progress)

        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            yield from pool.map(answer_one, range(len(requests)))
        finally:
            pool.shutdown(cancel_futures=True)

    def _try(self, request: Request, so_far: str) -> str:
        reason = ""
        for attempt in range(self._tries):
            if attempt:
                self._sleep(2.0 ** (attempt - 1))
            try:
                return self._once(request)
            except _Again as error:
                reason = str(error)
        raise ModelError(
            f"{self.model}: no answer after {self._tries} tries, the last: {reason}; {so_far}, so ask again later"
        )

    def _once(self, request: Request) -> str:
        import openai

        try:
            completion = self._chat(request) if request.raw is None else self._completion(request)
        except openai.APIStatusError as error:
            if error.status_code in HOPELESS:
                raise ModelError(f"{self.model} refuses with status {error.status_code}: {error.message}") from None
            raise _Again(f"status {error.status_code}") from None
        except (openai.APIError, ValueError) as error:  # time-outs, connections, what is no JSON
            raise _Again(f"{type(error).__name__}: {error}") from None
        return _text(completion) if request.raw is None else _continuation(completion)

    def _chat(self, request: Request) -> Any:
        return self._client.chat.completions.create(
            messages=[{"role": role, "content": text} for role, text in request.messages], **self._sampled(request)
        )

    def _completion(self, request: Request) -> Any:
        stop = request.decoding.get("stop")
        stop_options = {"stop": [str(stop)]} if stop else {}
        options = {"prompt": str(request.raw), **stop_options, **self._sampled(request)}
        return self._client.completions.create(**options)

    def _sampled(self, request: Request) -> dict[str, Any]:
        decoding = request.decoding
        return {
            "model": self._name,
            "temperature": float(decoding["temperature"]),
            "max_tokens": int(decoding["max_new_tokens"]),
            "seed": request.seed,
        }


class _Again(Exception):
    """A try failed, and another may succeed."""


def _text(reply: Any) -> str:
    try:
        text = reply.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        raise _Again(f"what came is no completion: {str(reply)[:80]!r}") from None
    if not isinstance(text, str) or not text.strip():
        raise _Again("the answer is empty")
    return text


def _continuation(reply: Any) -> str:
    try:
        text = reply.choices[0].text
    except (AttributeError, IndexError, TypeError):
        text = None
    if not isinstance(text, str):
        raise _Again(f"what came is no completion: {str(reply)[:80]!r}")
    return text


def _client(url: str | None, key: str | None, seconds: float) -> openai.OpenAI:
    try:
        import openai
    except ModuleNotFoundError:
        raise ModelError(
            "an endpoint needs openai, which is not installed; run `pip install 'shiftbench[llm]'`"
        ) from None
    try:
        return openai.OpenAI(base_url=url, api_key=key, timeout=seconds, max_retries=0)
    except openai.OpenAIError as error:
        raise ModelError(f"the endpoint cannot be asked: {error}") from None
