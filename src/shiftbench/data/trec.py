"""TREC's files: relevance judgements (qrels) and ranked lists (runs), read and written.

    qrels: `query iteration document grade`      run: `query Q0 document rank score name`

Columns are separated by white space, as trec_eval reads them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError

Qrels = dict[str, dict[str, int]]
Run = dict[str, list[tuple[str, float]]]


def read_qrels(file: Path) -> Qrels:
    """Read relevance judgements: query -> document -> grade (0 or less: judged, and not relevant).

    Raises:
        DataError: a line of another form, or a document twice for one query; names the line.
    """
    judgements: Qrels = {}
    for number, (query, _, document, grade) in _lines(file, 4, "query iteration document grade"):
        grades = judgements.setdefault(query, {})
        if document in grades:
            raise DataError(f"{file}, line {number}: document {document!r} is judged twice for query {query!r}")
        try:
            grades[document] = int(grade)
        except ValueError:
            raise DataError(f"{file}, line {number}: grade {grade!r} is no whole number") from None
    return judgements


def read_run(file: Path) -> Run:
    """Read ranked lists: query -> documents with scores, by falling score; equal scores by document.

    The rank in the file is ignored, as in trec_eval.

    Raises:
        DataError: a line of another form, or a document twice for one query; names the line.
    """
    queries: dict[str, dict[str, float]] = {}
    for number, (query, _, document, _, score, _) in _lines(file, 6, "query Q0 document rank score name"):
        scores = queries.setdefault(query, {})
        if document in scores:
            raise DataError(f"{file}, line {number}: document {document!r} is ranked twice for query {query!r}")
        try:
            scores[document] = float(score)
        except ValueError:
            raise DataError(f"{file}, line {number}: score {score!r} is no number") from None
    return {query: sorted(scores.items(), key=lambda one: (-one[1], one[0])) for query, scores in queries.items()}


def write_run(file: Path, ranked: Mapping[str, Iterable[tuple[str, float]]], name: str = "shiftbench") -> None:
    """Write ranked lists, best first.

    Args:
        file: to be written.
        ranked: query -> documents with scores.
        name: of the run, last column.
    """
    lines = [
        f"{query} Q0 {document} {rank} {score:.9g} {name}\n"
        for query, documents in ranked.items()
        for rank, (document, score) in enumerate(documents, 1)
    ]
    file.write_text("".join(lines))


def _lines(file: Path, columns: int, form: str) -> Iterable[tuple[int, Sequence[str]]]:
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected lines of `{form}`")
    with file.open() as stream:
        for number, line in enumerate(stream, 1):
            parts = line.split()
            if parts and len(parts) != columns:
                raise DataError(f"{file}, line {number}: expected `{form}`, found {line.strip()[:60]!r}")
            if parts:
                yield number, parts


def lists_of_records(rows: Iterable[Mapping[str, Any]]) -> Run:
    """Ranked lists of records of the task `ranking`, by the end of each query's key.

    Args:
        rows: with `key`, `documents` and `scores`, as `schema.read(file).to_pylist()` gives them.
    """
    return {row["key"].rpartition("/")[2]: list(zip(row["documents"], row["scores"], strict=True)) for row in rows}
