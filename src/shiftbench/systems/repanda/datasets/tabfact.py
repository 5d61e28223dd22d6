"""TabFact: statements about Wikipedia tables, entailed or refuted, from the folder of the release.

The clone has `tokenized_data/SPLIT_examples.json` (table -> statements,
labels, caption; 1 is entailed) and `data/all_csv/TABLE`, cells between `#`. Statements are tokenised and in lower case
there, and so are the tables. 12,779 statements about 1,695 tables are tested.

Source: Chen et al., "TabFact: A Large-scale Dataset for Table-based Fact Verification", ICLR 2020.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.data.tables import DELIMITER
from shiftbench.plugins import declare
from shiftbench.systems.repanda.datasets import _official

TASK = "table_question"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY 4.0"
CITATION = "Chen et al., TabFact: A Large-scale Dataset for Table-based Fact Verification, ICLR 2020, arXiv:1909.02164"
REDISTRIBUTE = False
CLASSES: tuple[str, ...] = ()


class Options(declare.Options):
    path: str = Field("", description="a clone of wenhuchen/Table-Fact-Checking")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split: path -> description."""
    files = {
        f"tokenized_data/{split}_examples.json": "statements of TabFact by table",
        "data/all_csv": "tables of TabFact, cells between #",
    }
    return _official.required_files(params, files)


def group(sample: Sample) -> str:
    """The table of a statement."""
    return str(sample.fields["meta"]["cluster"])


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the statements of a split, table by table.

    Raises:
        ParamsError: no path is given.
        DataError: a file is missing, or a table is none.
    """
    root = _official.folder(params)
    tables = json.loads(_official.text_of(root / f"tokenized_data/{split}_examples.json"))
    for name, (statements, labels, caption) in sorted(tables.items()):
        file = root / "data/all_csv" / name
        lines = [line.split(DELIMITER) for line in _official.text_of(file).splitlines()]
        table = _official.table(lines, caption, str(file))
        for number, (text, label) in enumerate(zip(statements, labels, strict=True)):
            meta = {"answer": label == 1, "cluster": name}
            yield Sample(
                f"tabfact/{split}/{name.partition('.')[0]}_{number:03d}", {"text": text, "table": table, "meta": meta}
            )
