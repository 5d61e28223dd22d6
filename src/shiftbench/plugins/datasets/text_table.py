"""Your own texts as tables hold them: BOSS, AG News and others in this layout.

    datasets:
      amazon_sentiment:
        use: text_table
        root: /data/boss/SentimentAnalysis/amazon
        files: {train: train.tsv, test: test.tsv}
        columns: {text: Text, label: Label}
        classes: [negative, positive, neutral]

Files are tables with a heading. Rows without a text or a label are left out. Labels are integers, also as `1.0`, unless
`labels` maps them. Nothing is downloaded; shards stay local. A key is `text_table/`, the split and the number of the
row.

Source: Yuan et al., "Revisiting Out-of-distribution Robustness in NLP" (BOSS), NeurIPS 2023, arXiv:2306.04618, whose
tables have these columns, rows without a value dropped.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _options

TASK = "text_classification"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = (
    "Yuan et al., Revisiting Out-of-distribution Robustness in NLP: Benchmark, Analysis, and LLMs Evaluations, NeurIPS "
    "2023, arXiv:2306.04618; and the authors of the texts"
)
REDISTRIBUTE = False
IN_ORDER = True


class Options(declare.Options):
    root: str = Field("", description="folder of the tables")
    files: dict[Literal["train", "test"], str] = Field({}, description="table of each split, a file in `root`")
    columns: dict[Literal["text", "label"], str] = Field(
        {"text": "Text", "label": "Label"}, description="columns of the text and of the label"
    )
    classes: list[str | int] = Field([], description="class names in the order of the labels")
    labels: dict[str, int] = Field({}, description="class of each value of the label column; {}: the value itself")
    counts: _options.Counts = Field({})
    delimiter: str = Field("\t", min_length=1, max_length=1, description="character between two columns")
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the classes."""
    if not params["classes"]:
        raise ParamsError("text_table: name the `classes`, in the order of the labels")
    return tuple(map(str, params["classes"]))


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    return {str(_file(split, params)): "table of texts"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of its rows: `text` str, `label` int.

    A label that is no class is yielded as an error.
    """
    count, made = len(classes(params, {})), 0
    for number, row in enumerate(_rows(_file(split, params), params)):
        text, label = (row[params["columns"][name]] for name in ("text", "label"))
        if not text or not label:
            continue
        made += 1
        key = f"text_table/{split}/{number:07d}"
        try:
            yield Sample(key, {"text": text, "label": _label(label, params["labels"], count)})
        except ValueError:
            yield RangeError(f"{key}: label {label!r} is none of the {count} classes")
    expected = params["counts"].get(split, made)
    if made != expected:
        raise DataError(f"{_file(split, params)} has {made} samples, expected {expected}")


def _file(split: str, params: dict[str, Any]) -> Path:
    if not params["root"] or split not in params["files"]:
        raise ParamsError(f"text_table: name `root`, the folder of the tables, and the file of {split!r} under `files`")
    return Path(params["root"]).expanduser() / str(params["files"][split])


def _rows(file: Path, params: dict[str, Any]) -> Iterator[dict[str, str]]:
    if not file.is_file():
        raise DataError(f"the table {file} does not exist; check root and files of text_table")
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, delimiter=params["delimiter"])
        columns = reader.fieldnames or []
        for name in params["columns"].values():
            if name not in columns:
                raise ParamsError(f"{file} has no column {name!r} ({suggest(name, columns)})")
        yield from reader


def _label(value: str, labels: dict[str, int], count: int) -> int:
    label = int(labels[value]) if value in labels else int(float(value))
    if not 0 <= label < count or (value not in labels and float(value) != label):
        raise ValueError(value)
    return label
