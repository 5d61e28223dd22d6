"""Statements about tables in a JSON file of PanTabFact's form; entries say whose, and whether each has a query.

The file is a list of objects with `table_text` (cells between `#`), `table_caption`, `statement`, `label` (1
entailed, 0 refuted) and, with `queries`, `pandas_code`, which is `meta.query` here. `meta.group` is `all_true` or
`all_false`. The file has no split of its own; statements are in one split by their table, or all of them are tested.

Source: the card of AtoosaChegini/PanTabFact on Hugging Face; RePanda, arXiv 2503.11921. What was filtered by the label
may be right for the wrong reason: whether a query answers its statement is not known.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import tables
from shiftbench.data.tables import DELIMITER
from shiftbench.plugins import declare
from shiftbench.systems.repanda.datasets import _official

TASK = "table_question"
NATIVE = ("all",)
SOURCES: tuple[str, ...] = ()
LICENCE = "unknown: the card of PanTabFact leaves it blank"
CITATION = "Malemir Chegini et al., RePanda: Pandas-powered Tabular Verification and Reasoning, arXiv:2503.11921"
REDISTRIBUTE = False
CLASSES: tuple[str, ...] = ()
FIELDS = ("table_text", "table_caption", "statement", "label")
QUERY = "pandas_code"


class Options(declare.Options):
    path: str = Field("", description="JSON file of statements in the form of PanTabFact")
    queries: bool = Field(True, description="whether each statement has a query (`pandas_code`)")
    tests_alone: bool = Field(False, description="put all statements into the test split")


def facts(options: Mapping[str, Any]) -> dict[str, object]:
    """The splits, and the licence where the tables are WikiTableQuestions'."""
    test_only: dict[str, object] = {"NATIVE": ("test",), "LICENCE": "CC BY-SA 4.0 (tables)"}
    return test_only if options["tests_alone"] else {}


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide: path -> description."""
    return _official.required_files(params, {"": "statements in PanTabFact's form, a JSON file"})


def group(sample: Sample) -> str:
    """The table of a statement."""
    return str(sample.fields["meta"]["cluster"])


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the statements in the order of the file.

    Raises:
        ParamsError: no path is given.
        DataError: the file is missing, or a row is none of that form.
    """
    file = _official.folder(params)
    columns = (*FIELDS, QUERY) if params["queries"] else FIELDS
    for number, row in enumerate(json.loads(_official.text_of(file))):
        where = f"{file}, row {number}"
        missing = [name for name in columns if name not in row]
        if missing:
            raise DataError(f"{where}: no {missing[0]}; expected {', '.join(columns)}")
        lines = [line.split(DELIMITER) for line in row["table_text"].splitlines()]
        table = _official.table(lines, row["table_caption"], where)
        meta = {
            "answer": row["label"] == 1,
            "group": "all_true" if row["label"] == 1 else "all_false",
            "cluster": tables.digest(table),
        }
        meta |= {"query": row[QUERY]} if params["queries"] else {}
        fields = {"text": row["statement"], "table": table, "meta": meta}
        yield Sample(f"{params['name']}/{split}/{number:06d}", fields)
