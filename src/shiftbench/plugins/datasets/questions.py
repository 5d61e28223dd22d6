"""Questions with a final answer, from your own JSONL files: `gsm8k: {use: questions, path: data/own/gsm8k}`.

A file has a question a line. The answer is what follows `answer_mark`, if that is there: GSM8K's solutions end in
`#### 72`. The key ends in the number of the line, from 0.

Source: the files of GSM8K (openai/grade-school-math, grade_school_math/data: `train.jsonl` of 7,473 and `test.jsonl` of
1,319 lines, fields `question` and `answer`). MATH-500 on the hub has `test.jsonl` with `problem` and `answer`,
expressions in LaTeX: the grader `math` compares them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

TASK = "free_text"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own files"
CITATION = "the user's own files"
REDISTRIBUTE = False
IN_ORDER = True
CLASSES: tuple[str, ...] = ()


class Options(declare.Options):
    path: str = Field("", description="folder with `train.jsonl`, `test.jsonl` or both")
    question: str = Field("question", description="field of the question")
    answer: str = Field("answer", description="field of the answer")
    answer_mark: str = Field("####", description="text in the answer field before the answer itself; empty: none")
    answer_after: str = Field(
        "</think>", description="text in a completion after which graders read the answer; empty: from the start"
    )
    graders: list[str] = Field(["number", "exact"], description="graders that judge an answer")
    choices: str = Field("", description="field with the texts of choices A, B and so on; empty: no choices")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    if not params["path"]:
        return {}
    file = Path(params["path"]).expanduser() / f"{split}.jsonl"
    return {str(file): f"questions, a JSON object a line, with {params['question']} and {params['answer']}"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the questions of a split, in the order of the lines."""
    if not params["path"]:
        raise ParamsError("questions: option path is missing; name the folder of train.jsonl and test.jsonl")
    file = Path(params["path"]).expanduser() / f"{split}.jsonl"
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected a question a line")
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            row = _read(line, f"{file}, line {number + 1}", params)
            fields = {"text": row[params["question"]], "meta": _meta(row, params)}
            yield Sample(f"questions/{split}/{number:06d}", fields)


def _read(line: str, where: str, params: dict[str, Any]) -> dict[str, Any]:
    """The object of a line."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    named = [params["question"], params["answer"]]
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in named):
        raise DataError(f"{where}: expected a JSON object with the texts {named[0]} and {named[1]}; got {line[:60]!r}")
    return row


def _meta(row: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    answer, mark = row[params["answer"]], params["answer_mark"]
    meta: dict[str, Any] = {
        "answer": (answer.rpartition(mark)[2] if mark else answer).strip(),
        "graders": list(params["graders"]),
    }
    if params["answer_after"]:
        meta["answer_after"] = params["answer_after"]
    if params["choices"]:
        meta["choices"] = row.get(params["choices"])
    return meta
