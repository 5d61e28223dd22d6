"""Completions sampled elsewhere, as a model: `theirs: {use: completions, path: theirs.jsonl}`, trainer `given`.

A JSON object a line has `key`, the end of a sample's key or all of it, and `completion`. It may have statistics of the
tokens: `entropies` and `log_probabilities`, a number for each token in nats, `closing`, the place of the token that
closes the thinking (null: none), and `truncated`. A key with several lines has several completions, the same number for
all keys. The model answers for the samples in the file, as they were asked: it cannot be evaluated under a shift
(`REEVALUABLE`).

With `answer_after`, models that think aloud and models that do not can answer the same questions. A completion without
the mark has no answer.

Source: none; the fields are those that a reward sees in TRL or veRL, and entropies.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.evaluation.llm.token_statistics import TokenStatistics
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given

TASK = "free_text"
REEVALUABLE = False
Completion = tuple[str, TokenStatistics | None]


class Options(declare.Options):
    path: str = Field("", description="your file, a JSON object a line")
    answer_after: str = Field("", description="mark before the answer, such as `</think>`; empty: the dataset's")


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each sample's key: `completions` and, where all have them, `statistics`.

    With a mark also `answer_after`, that mark for each sample.
    """
    file = _given.check(weights, params["path"])
    known = read(file)

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        completions = [_of(sample, known, file) for sample in samples]
        outputs = {"completions": _column([[text for text, _ in own] for own in completions])}
        if all(statistics is not None for own in completions for _, statistics in own):
            outputs["statistics"] = _column([[statistics for _, statistics in own] for own in completions])
        if params["answer_after"]:
            outputs["answer_after"] = np.full(len(samples), params["answer_after"], object)
        return outputs

    return predict


def read(file: Path) -> dict[str, list[Completion]]:
    """The completions of each key, in the order of the lines.

    Raises:
        ModelError: a line of another form; names file and line.
    """
    known: dict[str, list[Completion]] = {}
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            key, completion = _line(line, f"{file}, line {number}")
            known.setdefault(key, []).append(completion)
    return known


def _line(line: str, where: str) -> tuple[str, Completion]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("key", "completion")):
        raise ModelError(f"{where}: expected a JSON object with the texts key and completion; got {line[:60]!r}")
    if "entropies" not in row:
        return row["key"], (row["completion"], None)
    try:
        entropies, logs = (np.array(row[name], np.float64) for name in ("entropies", "log_probabilities"))
        statistics = TokenStatistics(entropies, logs, row["closing"], bool(row["truncated"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{where}: what is known of tokens is entropies, log_probabilities, closing and truncated: {error!r}"
        ) from None
    return row["key"], (row["completion"], statistics)


def _of(sample: Sample, known: Mapping[str, list[Completion]], file: Path) -> list[Completion]:
    completions = known.get(sample.key) or known.get(sample.key.rpartition("/")[2])
    if not completions:
        raise ModelError(
            f"{file} has no completion for {sample.key!r}; it can only be evaluated on what it was sampled for"
        )
    return completions


def _column(rows: Sequence[Sequence[Any]]) -> np.ndarray[Any, Any]:
    column = np.empty(len(rows), object)
    for at, row in enumerate(rows):
        column[at] = tuple(row)
    return column
