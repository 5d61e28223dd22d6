"""What a plugin's option `path` names: files, folders, a Python callable's file, addresses; one of these or several.

`photos`, `net.py:predict`, `a-{000..009}.tar`, `a-*.tar`, `a.tar::b.tar`, `https://example.org/a-{000..009}.tar`.
Braces are those of the webdataset library; its shell commands (`pipe:`) and variables of the environment are not.
"""

from __future__ import annotations

import itertools
import re
from fnmatch import fnmatchcase
from pathlib import Path

import braceexpand

from shiftbench.errors import ParamsError

_MOST = 100_000  # files that braces may name
_CALLABLE = re.compile(r"(.+\.py):[A-Za-z_][\w.]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(pipe):")


def places(path: str, where: str = "path") -> list[str]:
    """Return the files, folders and addresses that an option names; `*` and `?` stand for what is there.

    Raises:
        ParamsError: a shell command, an address of a kind that is not read, or more than 100,000 files.

    Example:
        >>> places("./net.py:predict"), places("a-{00..01}.tar::https://b.org/c.tar")
        (['net.py'], ['a-00.tar', 'a-01.tar', 'https://b.org/c.tar'])
    """
    named = [one for part in path.split("::") if part for one in _expanded(part, where)]
    if len(named) > _MOST:
        raise ParamsError(f"{where} = {path!r} names more than {_MOST:,} files")
    return list(dict.fromkeys(_place(one, where) for one in named))


def _expanded(part: str, where: str) -> list[str]:
    try:
        return list(itertools.islice(braceexpand.braceexpand(part, escape=False), _MOST + 1))
    except ValueError:
        raise ParamsError(
            f"{where} = {part!r}: a brace is not closed; expected as in a-{{00..09}}.tar"
        ) from None


def _place(one: str, where: str) -> str:
    one = one.removeprefix("file://")
    scheme = _SCHEME.match(one)
    if scheme and scheme[2]:
        raise ParamsError(
            f"{where} = {one!r} is a shell command, and none is run; give files or addresses"
        )
    if scheme and scheme[1] not in ("http", "https"):
        raise ParamsError(
            f"{where} = {one!r}: addresses are read by http:// and https:// alone; download it and give the file"
        )
    return one if scheme else str(Path(re.sub(_CALLABLE, r"\1", one)))


def there(place: str) -> list[str]:
    """Return which files and folders are there under a name or a pattern, sorted; an address always is."""
    if is_address(place):
        return [place]
    if not ("*" in place or "?" in place):
        return [place] if Path(place).exists() else []
    base = Path(Path(place).anchor)
    return sorted(map(str, base.glob(_pattern(str(Path(place).relative_to(base))))))


def present(place: str) -> list[str]:
    """Return the names of the files that are there, those in folders included; of an address, itself."""
    if is_address(place):
        return [place]
    found: list[Path] = []
    for one in map(Path, there(place)):
        found += [one] if one.is_file() else [file for file in one.rglob("*") if file.is_file()]
    return sorted(map(str, found))


def below(name: str, place: str) -> bool:
    """Tell whether a file is what a place names, or lies in it; by their names alone.

    Example:
        >>> below("photos/cat/1.png", "photos"), below("a-1.tar", "a-*.tar"), below("photos2/1.png", "photos")
        (True, True, False)
    """
    parts, wanted = name.split("/"), place.split("/")
    return len(parts) >= len(wanted) and all(
        part == other or fnmatchcase(part, _pattern(other))
        for part, other in zip(parts, wanted, strict=False)
    )


def is_address(place: str) -> bool:
    """Tell whether it is no file of this machine."""
    return place.startswith(("http://", "https://"))


def _pattern(text: str) -> str:
    return text.replace("[", "[[]")  # a folder may be called `photos [2]`
