"""Answers of language models: kept by content, asked once, never lost; and an endpoint that misbehaves."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shiftbench.base.errors import DataError, ModelError
from shiftbench.evaluation.llm import client
from shiftbench.evaluation.llm import endpoint as endpoint_of
from shiftbench.evaluation.llm.answer_cache import Answers, Key
from shiftbench.evaluation.llm.client import Cached, Request
from shiftbench.evaluation.llm.endpoint import Endpoint

DECODING = {"temperature": 0.3, "max_new_tokens": 8}


def key(text: str = "a", **changes: object) -> Key:
    given = {"model": "toy@12", "template": "t", "decoding": DECODING, "seed": 0, "text": text}
    return Key(**{**given, **changes})  # type: ignore[arg-type]


def request(text: str, seed: int = 0) -> Request:
    return Request((("user", text),), "t", DECODING, seed)


class Echo:
    """Answers with what it is asked; fails at a text `broken`."""

    model, date = "toy@12", None

    def answer(self, requests: Sequence[Request]) -> Iterator[str]:
        for one in requests:
            if one.messages[0][1] == "broken":
                raise ModelError("it broke")
            yield f"{one.messages[0][1]}, {one.seed}"


# --- the record ---------------------------------------------------------------------------------


def test_every_part_of_a_question_is_in_its_key() -> None:
    others = [
        *(key("b"), key(model="toy@34"), key(template="u"), key(seed=1)),
        key(decoding={**DECODING, "temperature": 0.5}),
    ]
    assert len({key().digest, *(other.digest for other in others)}) == 6
    turned = dict(reversed(DECODING.items()))
    assert key(decoding=turned).digest == key().digest


def test_equal_answers_are_equal_bytes_whatever_their_order(tmp_path: Path) -> None:
    contents = set()
    for number, texts in enumerate(("abc", "cab")):
        answers = Answers(tmp_path / str(number))
        for text in texts:
            answers.put(key(text), f"ä {text}\n")
        answers.settle()
        contents.add(answers.file("toy@12").read_bytes())
        assert Answers(tmp_path / str(number)).get(key("b")) == "ä b\n"
    (content,) = contents
    assert content.count(b"\n") == 3


def test_an_answer_is_on_disk_before_the_next_one_and_a_torn_line_counts_for_nothing(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put(key("a"), "one")
    with answers.file("toy").open("a") as stream:
        stream.write('{"key": "torn')  # killed while writing
    again = Answers(tmp_path)
    assert (again.get(key("a")), again.get(key("b"))) == ("one", None)
    again.put(key("b"), "two")
    assert Answers(tmp_path).get(key("b")) == "two"


def test_a_damaged_line_and_a_second_answer_are_refused(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put(key(), "one")
    answers.put(key(), "one")
    with pytest.raises(DataError, match=f"the key {key().digest} has another answer"):
        answers.put(key(), "two")
    answers.file("toy").write_text('{"key": "a"}\n')
    with pytest.raises(DataError, match=r"toy\.jsonl, line 1 is no answer"):
        Answers(tmp_path).get(key())


# --- asking -------------------------------------------------------------------------------------


def test_a_warm_cache_asks_nobody(tmp_path: Path) -> None:
    asked = [request("a"), request("b"), request("a"), request("a", 1)]
    cold = Cached(Answers(tmp_path), "toy@12", Echo)
    assert cold(asked) == ["a, 0", "b, 0", "a, 0", "a, 1"]
    assert cold.asked == 3  # equal questions are one

    def never() -> Echo:
        raise AssertionError("a generator was made")

    warm = Cached(Answers(tmp_path), "toy@12", never)
    assert (warm(asked), warm.asked) == (cold(asked), 0)


def test_what_is_not_recorded_names_its_key_and_the_command(tmp_path: Path) -> None:
    recorded = Cached(Answers(tmp_path), "toy@12", command="shiftbench answers --config x")
    digest = request("a").key("toy@12").digest
    with pytest.raises(DataError, match=rf"{digest} \(1 are missing\); `shiftbench answers --config"):
        recorded([request("a")])


def test_what_was_answered_before_an_error_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it broke"):
        Cached(Answers(tmp_path), "toy@12", Echo)([request("a"), request("broken"), request("b")])
    again = Cached(Answers(tmp_path), "toy@12", Echo)
    again([request("a"), request("b")])
    assert again.asked == 1


def test_a_model_is_named_by_its_bytes() -> None:
    assert client.identity("smollm2_135m") == "smollm2_135m@b179c9523d0e"
    assert client.identity("endpoint:some/model") == "endpoint:some/model"
    with pytest.raises(ModelError, match="was asked in place of other"):
        Cached(Answers(Path("nowhere")), "other", Echo)([request("a")])


# --- an endpoint, over a real socket --------------------------------------------------------------


def completion(text: str | None) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    about = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps({**about, "choices": [choice]}).encode()


Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, body: bytes) -> Answer:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def silence(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.6)


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


GOOD = reply(200, completion("well said"))


@pytest.fixture
def server(monkeypatch) -> Iterator[Callable[..., tuple[str, list[dict[str, object]]]]]:  # type: ignore[no-untyped-def]
    """A server on loopback that answers as it is told, in turn; gives its URL and what it was asked."""
    monkeypatch.setattr(endpoint_of, "AT_ONCE", 1)
    running: list[ThreadingHTTPServer] = []

    def serve(*answers: Answer) -> tuple[str, list[dict[str, object]]]:
        turns, asked = iter(answers), list[dict[str, object]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                asked.append(json.loads(self.rfile.read(length)))
                self.echoed = asked[-1].get("messages", [{}])[0].get("content")
                next(turns)(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(made)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{made.server_port}/v1", asked

    yield serve
    for one in running:
        one.shutdown()
        one.server_close()


def endpoint(url: str, waits: list[float] | None = None, tries: int = 6) -> Endpoint:
    told = [] if waits is None else waits
    return Endpoint("m", url, "none", seconds=0.3, tries=tries, sleep=told.append)


def test_time_outs_garbage_429_and_empty_answers_are_tried_again(server, tmp_path) -> None:  # type: ignore[no-untyped-def]
    bad = (silence, reply(200, b"<html>"), reply(429, b"{}"), reply(200, completion("")), cut)
    url, asked = server(*bad, GOOD)
    waits: list[float] = []
    answers = Answers(tmp_path)
    cached = Cached(answers, "endpoint:m", lambda: endpoint(url, waits))
    assert cached([request("a", 7)]) == ["well said"]
    assert waits == [1, 2, 4, 8, 16]
    assert len(asked) == 6
    assert {one["seed"] for one in asked} == {7}
    assert asked[0]["messages"] == [{"role": "user", "content": "a"}]
    date = answers.given(request("a", 7).key("endpoint:m"))
    assert date is not None and len(date) == 10  # noqa: PT018
    assert answers.given(key()) is None


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (silence, "APITimeoutError"),
        (reply(200, b"not json"), "JSONDecodeError|APIResponseValidation|no completion"),
        (reply(200, b"[]"), "no completion"),
        (reply(200, b'{"choices": []}'), "no completion"),
        (reply(200, completion(None)), "the answer is empty"),
        (reply(500, b"{}"), "status 500"),
    ],
)
def test_who_never_answers_is_given_up_and_nothing_is_lost(server, tmp_path, bad, why) -> None:  # type: ignore[no-untyped-def]
    url, _ = server(GOOD, bad, bad)
    cached = Cached(Answers(tmp_path), "endpoint:m", lambda: endpoint(url, tries=2))
    with pytest.raises(ModelError, match=rf"no answer after 2 tries, the last: .*({why})") as said:
        cached([request("a"), request("b")])
    assert "1 of 2 were answered and are kept" in str(said.value)
    assert Answers(tmp_path).get(request("a").key("endpoint:m")) == "well said"


def test_wrong_credentials_are_not_tried_again(server) -> None:  # type: ignore[no-untyped-def]
    url, asked = server(reply(401, b'{"error": {"message": "bad key"}}'))
    with pytest.raises(ModelError, match="refuses with status 401"):
        list(endpoint(url).answer([request("a")]))
    assert len(asked) == 1


def test_a_raw_text_is_gone_on_with_and_has_no_turns(server) -> None:  # type: ignore[no-untyped-def]
    bodies = [
        json.dumps({"id": "1", "object": "text_completion", "created": 0, "model": "m", "choices": some})
        for some in ([{"index": 0, "finish_reason": "stop", "logprobs": None, "text": ""}], [])
    ]
    url, asked = server(*(reply(200, body.encode()) for body in reversed(bodies)))
    prompt = "def f():\n    "
    raw = Request(((client.RAW, prompt),), "t", {**DECODING, "stop": "\ndef "})
    assert list(endpoint(url).answer([raw])) == [""]  # the first reply is none, the second is empty
    assert asked[1]["prompt"] == prompt
    assert asked[1]["stop"] == ["\ndef "]
    assert "messages" not in asked[1]


def test_answers_come_in_order_though_some_are_asked_at_once(server, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(endpoint_of, "AT_ONCE", 4)

    def told(handler: BaseHTTPRequestHandler) -> None:
        reply(200, completion(handler.echoed))(handler)  # type: ignore[attr-defined]

    url, _ = server(*[told] * 8)
    many = Endpoint("m", url, "none", seconds=5, tries=1)
    texts = [f"text {number}" for number in range(8)]
    assert list(many.answer([request(text) for text in texts])) == texts


def test_nobody_at_the_address(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="APIConnectionError"):
        list(endpoint("http://127.0.0.1:9/v1", tries=2).answer([request("a")]))
