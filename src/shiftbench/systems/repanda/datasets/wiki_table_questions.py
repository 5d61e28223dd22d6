r"""WikiTableQuestions: questions about Wikipedia tables with their answers, from the folder of the release.

The clone has `tagged/data/training.tagged` and `pristine-unseen-tables.tagged`
(14,152 and 4,344 questions; of their columns id, utterance, context, targetValue and targetCanon are read) and the
tables as TSV beside the CSV that `context` names. Lists are separated by `|`; `\n`, `\p` and `\\` stand for a new line,
`|` and `\`. targetCanon has numbers and dates of the answer as such (`100,000` is `100000.0`, `January 26, 1995` is
`1995-01-26`): half of the test's answers differ from theirs, and the official evaluator is given both.

Source: Pasupat and Liang, "Compositional Semantic Parsing on Semi-Structured Tables", ACL 2015; README 1.0.2 and
evaluator.py, which reads these files.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.repanda.datasets import _official

TASK = "table_question"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY-SA 4.0"
CITATION = "Pasupat and Liang, Compositional Semantic Parsing on Semi-Structured Tables, ACL 2015, arXiv:1508.00305"
REDISTRIBUTE = False
CLASSES: tuple[str, ...] = ()
FILES = {"train": "tagged/data/training.tagged", "test": "tagged/data/pristine-unseen-tables.tagged"}
COLUMNS = ("id", "utterance", "context", "targetValue", "targetCanon")
_ESCAPED = {r"\n": "\n", r"\p": "|", r"\\": "\\"}


class Options(declare.Options):
    path: str = Field("", description="a clone of ppasupat/WikiTableQuestions")


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split: path -> description."""
    files = {FILES[split]: "questions of WikiTableQuestions", "csv": "its tables, as TSV"}
    return _official.required_files(params, files)


def group(sample: Sample) -> str:
    """The table of a question."""
    return str(sample.fields["meta"]["cluster"])


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the questions of a split, in the order of its file.

    Raises:
        ParamsError: no path is given.
        DataError: a file or a column is missing, or a table is none.
    """
    root = _official.folder(params)
    table = cache(lambda context: _table(root, context))
    file = root / FILES[split]
    header, *lines = _official.text_of(file).split("\n")
    for number, line in enumerate(filter(None, lines), 2):
        row = dict(zip(header.split("\t"), line.split("\t"), strict=False))
        missing = [name for name in COLUMNS if name not in row]
        if missing:
            raise DataError(f"{file}, line {number}: no {missing[0]}; expected {', '.join(COLUMNS)}")
        answer, canon = (_listed(row[name]) for name in ("targetValue", "targetCanon"))
        if len(answer) != len(canon):
            raise DataError(f"{file}, line {number}: targetValue and targetCanon differ in length")
        context = row["context"]
        meta = {"answer": answer, "canon": canon, "cluster": context}
        fields = {"text": unescaped(row["utterance"]), "table": table(context), "meta": meta}
        yield Sample(f"wiki_table_questions/{split}/{row['id']}", fields)


def _listed(text: str) -> list[str]:
    return [unescaped(one) for one in text.split("|")]


def _table(root: Path, context: str) -> dict[str, Any]:
    file = (root / context).with_suffix(".tsv")
    lines = [line.split("\t") for line in _official.text_of(file).split("\n") if line]
    cells = [[unescaped(cell) for cell in line] for line in lines]
    return _official.table(cells, context, str(file))


def unescaped(text: str) -> str:
    r"""A text of the release without its escapes.

    Example:
        >>> unescaped(r"a\pb\\n")
        'a|b\\n'
    """
    return re.sub(r"\\[np\\]", lambda match: _ESCAPED[match[0]], text)
