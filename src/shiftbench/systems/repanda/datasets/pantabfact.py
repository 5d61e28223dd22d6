"""PanTabFact: statements of TabFact's training tables with a pandas expression each, from the released JSON file.

`path` is that file, a list of objects with `table_text` (cells between `#`), `table_caption`, `statement`, `label` (1
entailed, 0 refuted) and `pandas_code`, which is `meta.query` here. It has no split of its own and no licence, so that
nothing of it is passed on; statements are in one split by their table.

Source: the card of AtoosaChegini/PanTabFact on Hugging Face; RePanda, arXiv 2503.11921. What was filtered by the label
may be right for the wrong reason: whether a query answers its statement is not known.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.data import tables
from shiftbench.data.tables import DELIMITER
from shiftbench.errors import DataError
from shiftbench.sample import Sample
from shiftbench.systems.repanda.datasets import _official

TASK = "table_question"
NATIVE = ("all",)
SOURCES: tuple[str, ...] = ()
LICENCE = "unknown: the card of the dataset leaves it blank"
CITATION = "Malemir Chegini et al., RePanda: Pandas-powered Tabular Verification and Reasoning, arXiv:2503.11921"
REDISTRIBUTE = False
CLASSES: tuple[str, ...] = ()
PARAMS: dict[str, object] = {"path": ""}
FIELDS = ("table_text", "table_caption", "statement", "label", "pandas_code")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Return what the user must bring: path -> what it is."""
    return {params["path"]: "PanTabFact, a JSON file"} if params["path"] else {}


def group(sample: Sample) -> str:
    """Return the table of a statement."""
    return str(sample.fields["meta"]["cluster"])


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the statements in the order of the file.

    Raises:
        ParamsError: no path is given.
        DataError: the file is missing, or a row is none of that form.
    """
    file = _official.folder(params)
    for number, row in enumerate(json.loads(_official.text_of(file))):
        where = f"{file}, row {number}"
        lacking = [name for name in FIELDS if name not in row]
        if lacking:
            raise DataError(f"{where}: no {lacking[0]}; expected {', '.join(FIELDS)}")
        lines = [line.split(DELIMITER) for line in row["table_text"].splitlines()]
        table = _official.table(lines, row["table_caption"], where)
        meta = {
            "answer": row["label"] == 1,
            "cluster": tables.digest(table),
            "query": row["pandas_code"],
        }
        yield Sample(
            f"pantabfact/all/{number:06d}", {"text": row["statement"], "table": table, "meta": meta}
        )
