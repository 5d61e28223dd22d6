"""Questions and completions from the user's own files."""

import json
from pathlib import Path
from typing import Any

import pytest

from shiftbench.base.errors import DataError, ModelError, ParamsError
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.evaluation import nets
from shiftbench.plugins.datasets import questions
from shiftbench.plugins.models import _given, completions
from shiftbench.plugins.tasks import LabelSpace, free_text

GSM8K = [
    {"question": "Ann has 3 apples and buys 4. How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},
    {"question": "A farm sells 1,200 eggs.", "answer": "So\n#### 1,200"},
]


def lines(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def asked(folder: Path, **options: Any) -> list[Sample]:
    return list(questions.samples("test", {}, {**defaults(questions), "path": str(folder), **options}))


def predictor(folder: Path, rows: list[dict[str, Any]]) -> nets.Predictor:
    file = lines(folder / "theirs.jsonl", rows)
    weights = training_jobs.write(folder / "w.safetensors", _given.state(str(file)), ())
    return completions.load(weights, {**defaults(completions), "path": str(file)}, [], "cpu", {})


def test_questions_as_gsm8k_has_them(tmp_path: Path) -> None:
    lines(tmp_path / "test.jsonl", GSM8K)
    found = asked(tmp_path)
    assert [one.key for one in found] == ["questions/test/000000", "questions/test/000001"]
    assert [one.fields["meta"]["answer"] for one in found] == ["7", "1,200"]
    for sample in found:
        free_text.check(sample, [])
    assert list(questions.wants("train", {**defaults(questions), "path": "a"})) == ["a/train.jsonl"]


def test_questions_under_other_names(tmp_path: Path) -> None:
    lines(tmp_path / "test.jsonl", [{"problem": "1 + 1", "answer": "2"}])
    (found,) = asked(tmp_path, question="problem", answer_mark="", answer_after="")
    assert found.fields == {"text": "1 + 1", "meta": {"answer": "2", "graders": ["number", "exact"]}}


def test_questions_with_choices(tmp_path: Path) -> None:
    row = {"question": "Which?", "answer": "B", "options": ["one", "two"]}
    lines(tmp_path / "test.jsonl", [row])
    (found,) = asked(tmp_path, answer_mark="", choices="options", graders=["choice"])
    free_text.check(found, [])
    lines(tmp_path / "test.jsonl", [{**row, "options": None}])
    (found,) = asked(tmp_path, answer_mark="", choices="options", graders=["choice"])
    with pytest.raises(DataError, match="needs meta.choices"):
        free_text.check(found, [])


def test_what_is_no_question_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="option path is missing"):
        list(questions.samples("test", {}, dict(defaults(questions))))
    with pytest.raises(DataError, match=r"test\.jsonl does not exist"):
        asked(tmp_path)
    lines(tmp_path / "test.jsonl", [*GSM8K, {"question": 3, "answer": "4"}])
    with pytest.raises(DataError, match=r"test\.jsonl, line 3: expected a JSON object with the texts question and"):
        asked(tmp_path)


def told(key: str, text: str, entropies: list[float], closing: int | None) -> dict[str, Any]:
    logs = [-one for one in entropies]
    return {
        "key": key, "completion": text, "entropies": entropies, "log_probabilities": logs,
        "closing": closing, "truncated": False,
    }  # fmt: skip


def test_completions_are_looked_up_and_graded(tmp_path: Path) -> None:
    lines(tmp_path / "test.jsonl", GSM8K)
    samples = asked(tmp_path)
    predict = predictor(
        tmp_path,
        [
            told("000001", "1200 </think> 1200", [0.5, 0.25, 0.125], 1),
            told("questions/test/000000", "hmm </think> It is 7.", [1.0, 3.0, 9.0, 0.5], 2),
        ],
    )
    table = free_text.rows(samples, predict(samples), LabelSpace((), ()), "full")
    assert table["correct"].to_pylist() == [True, True]
    assert table["thinking_entropy_e9"].to_pylist() == [[2 * 10**9], [5 * 10**8]]
    assert table["answer_entropy_e9"].to_pylist() == [[5 * 10**8], [125 * 10**6]]
    assert table["verdicts"].to_pylist() == [[[True, False]], [[True, True]]]


def test_of_texts_alone_no_token_is_known(tmp_path: Path) -> None:
    lines(tmp_path / "test.jsonl", GSM8K)
    samples = asked(tmp_path)[:1]
    predict = predictor(tmp_path, [{"key": "000000", "completion": text} for text in ("a", "</think>7")])
    found = predict(samples)
    assert found["completions"].tolist() == [("a", "</think>7")]
    assert "statistics" not in found
    with pytest.raises(ModelError, match="has no completion for 'toy/1'"):
        predict([Sample("toy/1", {})])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"key": 1, "completion": "a"}, "line 1: expected a JSON object with the texts key and completion"),
        ({"key": "1", "completion": "a", "entropies": [0.5]}, "line 1: what is known of tokens is entropies"),
        ({**told("1", "a", [0.5], None), "entropies": ["x"]}, "what is known of tokens"),
    ],
)
def test_lines_of_another_form_are_told(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        predictor(tmp_path, [row])
