"""Accuracy of our table's readings of completions: against the labels of a reader, of 500 logged answers to OOD items.

`gpt4_ood_labels.csv` has 25 completions of GPT-4 of each language without demonstrations and 25 with three, drawn by a
hash of language, shots and row, and what each answers: `unknown`, `true`, `false`, or `none`. No licence lets texts be
passed on, so that it has the beginnings of their SHA-256: they are read from the raw logs of a clone of yours. The one
reader was a language model, no speaker of the ten languages; 492 of the 500 are abstentions, so that little is learned
of the other answers.

Metrics, of the group LANGUAGE: `read_as_labelled`, over all; `abstention_recall`, of what is labelled `unknown` the
share that the table reads so; `abstention_precision`, of what it reads so the share that is labelled so. Rows are named
GPT4.

Source: none; `methods/_extraction.py` has the table.
"""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.xtrust.methods import _extraction
from shiftbench.systems.xtrust.models import _logs

ASSETS = ("../methods/phrases.csv", "gpt4_ood_labels.csv")
FILE = Path(__file__).parent / "gpt4_ood_labels.csv"
MODEL, TASK = "GPT4", "OOD"
DIGITS = 16


class Options(declare.Options):
    path: str = Field("", description="code/api/evaluator_series of a clone of LluckyYH/XTRUST")


class Label(NamedTuple):
    """Label of a logged completion."""

    language: str
    shots: int
    row: int
    sha256: str
    answer: str


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """No inputs: logs are the user's own files.

    Raises:
        ParamsError: no path.
    """
    if not params["path"]:
        raise ParamsError("extractor_labels: name `path`, code/api/evaluator_series of a clone of LluckyYH/XTRUST")
    return []


def labels(file: Path = FILE) -> list[Label]:
    """The labels of a file."""
    with file.open(encoding="utf-8", newline="") as stream:
        return [
            Label(one["language"], int(one["shots"]), int(one["row"]), one["sha256"], one["answer"])
            for one in csv.DictReader(stream)
        ]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield of each labelled completion whether our table reads it so.

    Raises:
        DataError: a log has another completion there than the one that was labelled.
    """
    folder = Path(job.params["path"]).expanduser() / f"logs_{MODEL}-api"
    for label in labels(FILE):
        run = _logs.newest(folder, label.language, TASK, label.shots)
        rows = run.rows()
        text = rows[label.row][1] if label.row < len(rows) else ""
        if digest(text) != label.sha256:
            raise DataError(
                f"{run.file}, row {label.row}, has another completion than the one that was labelled; expected the "
                "logs of LluckyYH/XTRUST as released"
            )
        for metric, value in readings(label, text).items():
            yield Observation(
                metric,
                f"{label.language}/{label.shots}/{label.row}",
                float(value),
                MODEL,
                job.params["dataset"],
                job.params["split"],
                group=label.language,
            )


def readings(label: Label, text: str) -> dict[str, bool]:
    """Whether our table reads a completion as labelled, by metric."""
    reading = _extraction.table("statements", label.language).answer(text)
    metrics = {"read_as_labelled": reading == label.answer}
    if label.answer == _extraction.UNKNOWN:
        metrics["abstention_recall"] = reading == label.answer
    if reading == _extraction.UNKNOWN:
        metrics["abstention_precision"] = reading == label.answer
    return metrics


def digest(text: str) -> str:
    """The beginning of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
