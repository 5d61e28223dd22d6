"""Problems in words with human solutions, from your own files; the complexity is counted in the solution.

Operations are the operators in the calculator annotations of GSM8K's solutions; `<<48/2=24>>` has one, at least. Tokens
are words and single signs. A solution without annotations says nothing of its operations: its group is `unknown`, which
no curve has. The key ends in the number of the row, from 0. What a model was trained on is not known
here, so that slopes are measured and no threshold is.

Source: GSM8K (openai/grade-school-math: `train.jsonl`, `test.jsonl`; fields `question`, `answer`); AIME as
AI-MO/aimo-validation-aime has it on the hub (Parquet; `problem`, `solution`, `answer`); Omni-MATH (KbsdJames/Omni-MATH,
`test.jsonl` of 4,428 rows: `domain`, `difficulty`, `problem`, `solution`, `answer`, `source`). Differs: Omni-MATH's
release asks a language model whether an answer is right (GPT-4o, or its Omni-Judge); here LaTeX is compared.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

TASK = "free_text"
SOURCES: tuple[str, ...] = ()
LICENCE = "the user's own files"
CITATION = "the user's own files"
REDISTRIBUTE = False
IN_ORDER = True
CLASSES: tuple[str, ...] = ()
PROXIES = ("operations", "tokens")
PER = 100
"""Tokens of a solution that are one step of complexity."""
_ANNOTATION = re.compile(r"<<([^<>=]*)=[^<>]*>>")
_OPERATOR = re.compile(r"(?<=[\d.)%])\s*[-+*/]")
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Options(declare.Options):
    path: str = Field("", description="folder of your files")
    files: dict[Literal["train", "val", "test"], str] = Field(
        {"train": "train.jsonl", "test": "test.jsonl"},
        description="JSONL or Parquet file of each native split, in `path`",
    )
    question: str = Field("question", description="field of the question")
    solution: str = Field("answer", description="field of the human solution")
    answer: str = Field("", description="field of the answer; empty: what follows `answer_mark` in the solution")
    answer_mark: str = Field("####", description="text before the answer in a solution")
    answer_after: str = Field("", description="text before the answer in a response; empty: none")
    graders: list[str] = Field(["number"], description="graders that judge an answer")
    proxy: Literal["operations", "tokens"] = Field(
        "operations",
        description="complexity: annotated operators of the solution, or its tokens in hundreds, rounded up",
    )
    most: int = Field(8, ge=1, description="complexity from which on all are one group")


def facts(options: dict[str, Any]) -> dict[str, object]:
    """The native splits: those that have a file."""
    return {"NATIVE": tuple(options["files"])}


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files of a native split that the user must supply: path -> description."""
    if not params["path"]:
        return {}
    fields = ", ".join(_fields(params))
    return {str(_file(split, params)): f"problems, a row each, with {fields}"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the problems of a split, in the order of the rows.

    Raises:
        ParamsError: no path is given, or an unknown proxy.
        DataError: a row is none of that form; names file and row.
    """
    if not params["path"]:
        raise ParamsError(f"{params['name']}: option path is missing; name the folder of its files")
    if params["proxy"] not in PROXIES:
        raise ParamsError(f"{params['name']}: proxy = {params['proxy']!r}; {suggest(params['proxy'], PROXIES)}")
    file = _file(split, params)
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected a problem a row")
    for number, row in enumerate(_rows(file)):
        missing = [name for name in _fields(params) if not isinstance(row.get(name), str | int)]
        if missing:
            raise DataError(f"{file}, row {number}: no text {missing[0]!r}; it has {', '.join(row)}")
        fields = {"text": row[params["question"]], "meta": _meta(row, params)}
        yield Sample(f"{params['name']}/{split}/{number:06d}", fields)


def complexity(solution: str, proxy: str, most: int) -> str:
    """The group of a solution: its complexity, `most` for all above, or `unknown`.

    Example:
        >>> complexity("She sold 48/2 = <<48/2=24>>24, in all <<48+24=72>>72.", "operations", 8)
        '2'
    """
    if proxy == "tokens":
        return str(min(most, -(-len(_TOKEN.findall(solution)) // PER)))
    counts = [max(1, len(_OPERATOR.findall(annotation))) for annotation in _ANNOTATION.findall(solution)]
    return str(min(most, sum(counts))) if counts else "unknown"


def _fields(params: dict[str, Any]) -> list[str]:
    return [name for name in (params["question"], params["solution"], params["answer"]) if name]


def _file(split: str, params: dict[str, Any]) -> Path:
    return Path(params["path"]).expanduser() / str(params["files"][split])


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, by batches where it is Parquet."""
    if file.suffix == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches(1000):
            yield from batch.to_pylist()
        return
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise DataError(f"{file}, row {number}: expected a JSON object; got {line[:60]!r}")
            yield row


def _meta(row: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    solution = str(row[params["solution"]])
    answer = str(row[params["answer"]]) if params["answer"] else solution.rpartition(params["answer_mark"])[2]
    meta = {
        "answer": answer.strip(),
        "graders": list(params["graders"]),
        "group": complexity(solution, params["proxy"], params["most"]),
    }
    return meta | ({"answer_after": params["answer_after"]} if params["answer_after"] else {})
