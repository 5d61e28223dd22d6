"""Queries that a language model wrote elsewhere, as a model: `theirs: {use: table_queries, path: q.jsonl}`.

A JSON object a line: `key`, the end of a sample's key or all of it, and `queries`, the one that was written and those
of each repair, in order; or `answer`, true, false or a list of texts, of a model that writes none. A query is run in
the sandbox; while one fails, the next one is run. Trainer `given`. It answers for the samples in it, as
they were asked: it cannot be evaluated under a shift, and `REEVALUABLE` says so.

Source: RePanda, arXiv 2503.11921 (at most four rounds of error correction at inference).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data.tables import typed_columns
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given
from shiftbench.systems.repanda.models import _execution

TASK = "table_question"
REEVALUABLE = False
Line = Mapping[str, Any]


class Options(declare.Options):
    path: str = Field("", description="JSON Lines file with the queries or answers")
    rounds: int = Field(4, ge=0, description="repairs of a query that fails, at most")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `answers`, `queries`, `status` and `rounds`.

    Raises:
        ModelError: the file is another one, a line is none of that form, or a sample has none.
    """
    file = _given.check(weights, params["path"])
    lines = read(file)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        return _execution.outputs([_verdict(one, lines, file, params) for one in samples])

    return predict


def read(file: Path) -> dict[str, Line]:
    """The line of each key.

    Raises:
        ModelError: a line of another form, or a second one for a key; names file and line.
    """
    lines: dict[str, Line] = {}
    with file.open(encoding="utf-8") as stream:
        for number, text in enumerate(stream, 1):
            line = _line(text, f"{file}, line {number}")
            if line["key"] in lines:
                raise ModelError(f"{file}, line {number}: a second line for {line['key']!r}")
            lines[line["key"]] = line
    return lines


def _line(text: str, where: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict) or not isinstance(line.get("key"), str):
        raise ModelError(f"{where}: expected a JSON object with key; got {text[:60]!r}")
    queries = line.get("queries")
    has_queries = isinstance(queries, list) and queries and all(isinstance(query, str) for query in queries)
    if not has_queries and "answer" not in line:
        raise ModelError(f"{where}: expected queries, a list of texts, or answer")
    return line


def _verdict(sample: Sample, lines: Mapping[str, Line], file: Path, params: Mapping[str, Any]) -> _execution.Verdict:
    line = lines.get(sample.key) or lines.get(sample.key.rpartition("/")[2])
    if line is None:
        raise ModelError(f"{file} has nothing for {sample.key!r}; it can only be evaluated on what it was asked")
    if "queries" not in line:
        return _execution.Verdict(line["answer"], None, None, None)
    first, *others = line["queries"]
    repairs = iter(others[: params["rounds"]])

    def repair(query: str, error: str) -> str | None:
        return next(repairs, None)

    return _execution.executed(first, typed_columns(sample.fields["table"]), repair, _execution.reader(sample))
