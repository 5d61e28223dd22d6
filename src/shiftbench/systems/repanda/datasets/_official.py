"""Tables of released files, made such that their columns can be named: helper of the three loaders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError, ParamsError


def folder(params: dict[str, Any]) -> Path:
    """The folder that the option `path` names.

    Raises:
        ParamsError: none is given.
    """
    if not params["path"]:
        raise ParamsError(f"{params['name']}: option path is missing; name the folder, or file, of the release")
    return Path(params["path"]).expanduser()


def required_files(params: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """Files that the user must provide: path -> description; empty if no folder is named.

    Args:
        params: with the option `path`.
        files: what lies below it -> what it is.
    """
    root = Path(params["path"]).expanduser()
    return {str(root / file): what for file, what in files.items()} if params["path"] else {}


def text_of(file: Path) -> str:
    """A file's text.

    Raises:
        DataError: it is not there.
    """
    if not file.is_file():
        raise DataError(f"{file} does not exist; expected a file of the release")
    return file.read_text(encoding="utf-8")


def table(lines: Sequence[Sequence[str]], caption: str, where: str) -> dict[str, Any]:
    """A table of lines of cells, the first of which is the header.

    A column without a name is `column 3`, one whose name was there before has its number behind it; a row that is too
    short lacks its last cells.

    Raises:
        DataError: there is no header, or a row has more cells than it.
    """
    if not lines or not lines[0]:
        raise DataError(f"{where}: no header")
    header: list[str] = []
    for number, name in enumerate(lines[0], 1):
        plain = " ".join(name.split()) or f"column {number}"
        header.append(plain if plain not in header else f"{plain} {number}")
    rows = []
    for number, line in enumerate(lines[1:]):
        if len(line) > len(header):
            raise DataError(f"{where}: row {number} has {len(line)} cells, the header {len(header)}")
        rows.append([*line, *[None] * (len(header) - len(line))])
    return {"header": header, "rows": rows, "caption": caption}
