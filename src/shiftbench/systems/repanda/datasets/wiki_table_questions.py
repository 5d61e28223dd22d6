r"""WikiTableQuestions: questions about Wikipedia tables with their answers, from the folder of the release.

`path` is a clone of ppasupat/WikiTableQuestions: `data/training.tsv` and `data/pristine-unseen-tables.tsv` (14,152 and
4,344 questions; id, utterance, context, targetValue) and the tables as TSV beside the CSV that `context` names. Lists
are separated by `|`; `\n`, `\p` and `\\` stand for a new line, `|` and `\`.

Source: Pasupat and Liang, "Compositional Semantic Parsing on Semi-Structured Tables", ACL 2015; README 1.0.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from shiftbench.sample import Sample
from shiftbench.systems.repanda.datasets import _official

TASK = "table_question"
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC BY-SA 4.0"
CITATION = "Pasupat and Liang, Compositional Semantic Parsing on Semi-Structured Tables, ACL 2015, arXiv:1508.00305"
REDISTRIBUTE = False
CLASSES: tuple[str, ...] = ()
PARAMS: dict[str, object] = {"path": ""}
FILES = {"train": "data/training.tsv", "test": "data/pristine-unseen-tables.tsv"}
_ESCAPED = {r"\n": "\n", r"\p": "|", r"\\": "\\"}


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Return what the user must bring for a native split: path -> what it is."""
    files = {FILES[split]: "questions of WikiTableQuestions", "csv": "its tables, as TSV"}
    return _official.wanted(params, files)


def group(sample: Sample) -> str:
    """Return the table of a question."""
    return str(sample.fields["meta"]["cluster"])


def samples(split: str, sources: Mapping[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the questions of a split, in the order of its file.

    Raises:
        ParamsError: no path is given.
        DataError: a file is missing, or a table is none.
    """
    root = _official.folder(params)
    table = cache(lambda context: _table(root, context))
    for line in _official.text_of(root / FILES[split]).split("\n")[1:]:
        if line:
            name, text, context, answer = line.split("\t")
            meta = {"answer": [unescaped(one) for one in answer.split("|")], "cluster": context}
            fields = {"text": unescaped(text), "table": table(context), "meta": meta}
            yield Sample(f"wiki_table_questions/{split}/{name}", fields)


def _table(root: Path, context: str) -> dict[str, Any]:
    file = (root / context).with_suffix(".tsv")
    lines = [line.split("\t") for line in _official.text_of(file).split("\n") if line]
    cells = [[unescaped(cell) for cell in line] for line in lines]
    return _official.table(cells, context, str(file))


def unescaped(text: str) -> str:
    r"""Return a text of the release as it is meant.

    Example:
        >>> unescaped(r"a\pb\\n")
        'a|b\\n'
    """
    return re.sub(r"\\[np\\]", lambda found: _ESCAPED[found[0]], text)
