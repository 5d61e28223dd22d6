"""Check of released results: each number is the cell that it names."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.audit.case import Case, Flaw
from shiftbench.audit.check import check
from shiftbench.audit.evidence import table_files
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.refs import Ref

_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(?:[eE][-+]?\d+)?")
_ROUNDING = 1e-12


@check("A34", level=1)
def released(case: Case) -> Iterator[Finding | Note]:
    """Each number that others released is the cell that it names.

    Pass rule: the named line of the named source file has the printed text. The value is the number in that text, a
    hundredth of it, or, where it counts samples, its share of the n of them. Of a `.json` file, which is one object,
    the whole text counts as the line. A line that is quoted from another file is looked for where it is quoted. The
    check does not use the importers; `aggregates` reads the files again with them.

    Limits: whether a column means what the card says is not checked.
    """
    cells, absent = 0, 0
    wrong: list[Flaw] = []
    for ref, _, _ in case.outputs("released"):
        table = table_files.readable(case.root / ref.path, "released")
        if table is None:
            continue  # a finding of `rows`
        folder = case.root / Ref("sources", ref.name).path
        files = _texts(folder.parent)
        if not files:
            absent += 1
            continue
        cells += len(table)
        wrong += _flaws(ref, files, table_files.frame_of(table).rows(named=True))
    yield from case.grouped(wrong)
    if absent:
        yield Note(f"the source files of {absent} releases are not here; `shiftbench fetch NAME` brings them")
    yield Note(f"{cells} released numbers are the cells that they name" if cells else "no released results are here")


def _texts(folder: Path) -> dict[str, list[str]]:
    """The lines of the source files of a release; of a `.json` file the whole text as one line."""
    texts = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and not name.startswith("manifest.json"):
            text = file.read_bytes().decode("utf-8-sig", errors="replace")
            texts[name] = [text] if file.suffix == ".json" else text.splitlines()
    return texts


def _flaws(ref: Ref, files: Mapping[str, list[str]], rows: Iterable[dict[str, Any]]) -> Iterator[Flaw]:
    for row in rows:
        place = f"{row['file']}, row {row['row']}, column {row['column']}"
        lines = _lines(files, row)
        if not any(row["printed"] in line for line in lines):
            yield ref, "a number is not in the line that it names", {"sample": place, "expected": row["printed"]}
        elif not _is_value(row["printed"], row["value"], row["n"]):
            told = {"sample": place, "expected": row["printed"], "found": str(row["value"])}
            yield ref, "a number is not the one that is printed", told


def _lines(files: Mapping[str, list[str]], row: Mapping[str, Any]) -> list[str]:
    """The line that a number names; of a quoted file the lines that quote this cell."""
    if row["file"] not in files:
        names = (row["file"], str(row["row"]), row["column"])
        return [line for lines in files.values() for line in lines if all(name in line for name in names)]
    lines = files[row["file"]]
    return lines[row["row"] - 1 : row["row"]]


def _is_value(printed: str, value: float, n: int | None) -> bool:
    match = _NUMBER.match(printed.strip())
    if match is None:
        return False
    number = float(match[0].replace(",", ""))
    return any(abs(value - number / unit) <= _ROUNDING * max(1.0, abs(number)) for unit in (1, 100, n or 1))
