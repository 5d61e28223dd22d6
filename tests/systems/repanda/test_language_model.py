"""A language model behind RePanda's table questions: what is asked, round by round, and what is made of the answers."""

import json
from pathlib import Path
from typing import Any

import pytest

from makers.small_table_sources import ISLANDS
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets, sandbox
from shiftbench.evaluation.llm import answer_cache, client
from shiftbench.evaluation.llm.client import Request
from shiftbench.systems.repanda.models import table_llm

needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")
LLM = "endpoint:any"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> answer_cache.Answers:
    monkeypatch.setattr(table_llm, "ANSWERS", tmp_path)
    return answer_cache.Answers(tmp_path)


def claim(answer: Any = True) -> Sample:
    fields = {"text": "the highest Area is 1,200", "table": ISLANDS, "meta": {"answer": answer}}
    return Sample("toy/test/0", fields)


def options(**changed: Any) -> dict[str, Any]:
    return {**defaults(table_llm), "llm": LLM, **changed}


def asked(sample: Sample, **changed: Any) -> list[Request]:
    return table_llm.asks([sample], options(**changed), {})


def predicted(sample: Sample, **changed: Any) -> dict[str, Any]:
    predict: nets.Predictor = table_llm.load(Path("none"), options(**changed), (), "cpu", {})
    return {name: own[0] for name, own in predict([sample]).items()}


@needs_sandbox
def test_a_query_that_fails_is_sent_back_with_its_error_until_one_runs(kept: answer_cache.Answers) -> None:
    (first,) = asked(claim())
    said = "\n".join(text for _, text in first.messages)
    assert "Name#Area#Kind\nAda#1,200#x" in said
    assert "Statement: the highest Area is 1,200" in said
    assert first.messages[-1] == ("assistant", "```python\n")
    kept.put(first.key(LLM), "df['area'].max() == 1200\n```")
    _, second = asked(claim())  # what follows from what is recorded
    assert second.messages[1] == ("assistant", "```python\ndf['area'].max() == 1200\n```")
    assert "KeyError: 'area'" in second.messages[2][1]
    with pytest.raises(DataError, match="1 are missing.*shiftbench answers"):
        predicted(claim())
    once = predicted(claim(), rounds=0)
    assert (once["answers"], once["status"], once["rounds"]) == (None, "KeyError", 0)
    kept.put(second.key(LLM), "```python\ndf['Area'].max() == 1200\n```\nIt is so.")
    assert asked(claim()) == [first, second]
    found = predicted(claim())
    assert (found["answers"], found["status"], found["rounds"]) == (True, "ok", 1)
    assert found["queries"] == "df['Area'].max() == 1200"


@needs_sandbox
def test_no_request_holds_a_label(kept: answer_cache.Answers) -> None:
    for way in ("query", "direct"):
        assert asked(claim(answer=True), ask=way) == asked(claim(answer=False), ask=way)
    (first,) = asked(claim())
    kept.put(first.key(LLM), "df['area']")
    true, false = asked(claim(answer=True)), asked(claim(answer=False))
    assert true == false
    assert len(true) == 2


@pytest.mark.parametrize(
    ("said", "answer"), [("True", True), (" false.", False), ("No, it is not", False), ("Perhaps", None), ("12", None)]
)
def test_a_direct_answer_is_its_first_word(said: str, answer: bool | None, kept: answer_cache.Answers) -> None:
    (request,) = asked(claim(), ask="direct")
    assert request.messages[-1][0] == "user"
    kept.put(request.key(LLM), said)
    found = predicted(claim(), ask="direct")
    assert (found["answers"], found["queries"], found["status"]) == (answer, None, None)


@needs_sandbox
def test_questions_are_asked_for_texts(kept: answer_cache.Answers) -> None:
    question = claim(answer=["Ada", "Bea"])
    (direct,) = asked(question, ask="direct")
    assert "Question: the highest Area is 1,200" in direct.messages[0][1]
    kept.put(direct.key(LLM), "Ada | Bea")
    assert predicted(question, ask="direct")["answers"] == ["Ada", "Bea"]
    (query,) = asked(question)
    kept.put(query.key(LLM), "df['Name'].head(2)")
    assert predicted(question)["answers"] == ["Ada", "Bea"]


def test_another_way_to_ask_is_refused(kept: answer_cache.Answers) -> None:
    with pytest.raises(ParamsError, match="ask is 'quer' .*did you mean query"):
        asked(claim(), ask="quer")


def test_what_was_recorded_is_of_one_model_and_of_eighty_requests() -> None:
    model = client.identity("smollm2_135m")
    file = answer_cache.Answers(table_llm.ANSWERS).file(model)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert {line["model"] for line in lines} == {model}
    assert [line["key"] for line in lines] == sorted({line["key"] for line in lines})
    assert len(lines) == 80  # forty claims, asked for a query and for a word
