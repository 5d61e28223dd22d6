"""Importers of tables: CSV, JSON lines, and numbers that are quoted from other files."""

import csv
import io
import json
from typing import Annotated

from pydantic import Field

from shiftbench.base.errors import DataError
from shiftbench.data.releases import Line
from shiftbench.plugins import declare


@declare.importer(example=b"model,top1\nresnet50,80.4\n")
def wide_csv(
    content: bytes,
    header_rows: Annotated[int, Field(ge=1, description="lines of the header; names are joined by `.`")] = 1,
    index: Annotated[str, Field(description="name of a column that has none")] = "index",
    separator: Annotated[str, Field(min_length=1, max_length=1, description="between cells")] = ",",
) -> list[Line]:
    """CSV with a line for each model and a column for each setting."""
    reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator)
    headers: list[list[str]] = []
    lines = []
    for cells in reader:
        if len(headers) < header_rows:
            headers.append(cells)
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(headers[0]):
            raise DataError(f"row {reader.line_num} has {len(cells)} cells, the header {len(headers[0])}")
        names = [".".join(filter(None, parts)) or index for parts in zip(*headers, strict=True)]
        lines.append(Line(reader.line_num, dict(zip(names, cells, strict=True))))
    return lines


@declare.importer(example=b'{"model": "model_0", "ImageNet": 0.75574}\n')
def json_lines(content: bytes) -> list[Line]:
    """One JSON object in a line, or one object in the whole file; numbers stay as they were printed."""
    text = content.decode()
    rows = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    try:
        objects = [(1, _object(text))]
    except json.JSONDecodeError:
        objects = [(number, _object(line)) for number, line in rows]
    return [Line(number, {name: str(value) for name, value in found.items()}) for number, found in objects]


def _object(text: str) -> dict[str, object]:
    found = json.loads(text, parse_float=str, parse_int=str)
    if not isinstance(found, dict):
        raise DataError(f"expected a JSON object, found {type(found).__name__}")
    return found


@declare.importer(example=b"file,row,column,printed\nresults/cifar10.csv,2,ID_Accuracy,95.06\n")
def quoted_cells(content: bytes) -> list[Line]:
    """CSV with a line for each cell of other files: `file`, `row`, `column`, `printed`.

    So the numbers of a release without a licence are kept as facts, each with its place, and no file is copied.
    """
    lines: dict[tuple[str, int], dict[str, str]] = {}
    for cell in csv.DictReader(io.StringIO(content.decode(), newline="")):
        lines.setdefault((cell["file"], int(cell["row"])), {})[cell["column"]] = cell["printed"]
    return [Line(row, cells, file) for (file, row), cells in lines.items()]
