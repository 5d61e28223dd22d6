"""Helpers of datasets: text files that list images, one `relative/path label` per line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shiftbench.base.errors import DataError, DuplicateKeyError


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line of a list: the key of its image, the image's path, its label as it stands, the line's number."""

    key: str
    path: str
    label: str
    number: int


def lines(file: Path, prefix: str) -> list[Line]:
    """The lines of a list; a key is `prefix/` and the path without its suffix, dots made underscores.

    Raises:
        DataError: the list does not exist, or a line is no `relative/path label`.
    """
    if not file.is_file():
        raise DataError(f"the list {file} does not exist; check root and lists of {prefix}")
    rows = file.read_text(encoding="utf-8").splitlines()
    return [_parsed(row, at, file, prefix) for at, row in enumerate(rows, 1) if row.strip()]


def _parsed(row: str, number: int, file: Path, prefix: str) -> Line:
    path, *label = row.strip().rsplit(maxsplit=1)
    relative = PurePosixPath(path)
    if not label or relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{file} line {number}: {row[:120]!r} is no `relative/path label`")
    stem = relative.with_suffix("").as_posix().replace(".", "_")
    return Line(f"{prefix}/{stem}", path, label[0], number)


def in_order(rows: Iterable[Line], file: Path) -> Iterator[Line]:
    """Yield lines in the order of their keys.

    Raises:
        DuplicateKeyError: two lines give one key.
    """
    last: Line | None = None
    for line in sorted(rows):
        if last and line.key == last.key:
            raise DuplicateKeyError(
                f"{line.key}: named by the lines {last.number} and {line.number} of {file}; remove one"
            )
        yield line
        last = line
