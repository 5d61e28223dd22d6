"""Files that a plugin's option `path` names: files, folders, a Python callable's file, addresses; one or several.

`photos`, `net.py:predict`, `a-{000..009}.tar`, `a-*.tar`, `a.tar::b.tar`, `https://example.org/a-{000..009}.tar`.
Braces are those of the webdataset library; its shell commands (`pipe:`) and variables of the environment are not.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import braceexpand

from shiftbench.base.errors import ParamsError
from shiftbench.base.files import is_valid_path, shorten

_MOST = 100_000  # files that braces may name
_USUAL = 500  # characters of a name, where there are that many
_DEEPEST = 20  # braces in braces
_NUMBERS = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.-?(\d+))?")
_LETTERS = re.compile(r"[A-Za-z]\.\.[A-Za-z](?:\.\.-?\d+)?")
_CALLABLE = re.compile(r"(.+\.py):[A-Za-z_][\w.]*")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://|(pipe):")


def places(path: str, where: str = "path") -> list[str]:
    """The files, folders and addresses that an option names; `*` and `?` match existing files.

    Raises:
        ParamsError: a shell command, an address of a kind that is not read, or more than 100,000 files.

    Example:
        >>> places("./net.py:predict"), places("a-{00..01}.tar::https://b.org/c.tar")
        (['net.py'], ['a-00.tar', 'a-01.tar', 'https://b.org/c.tar'])
    """
    names = [name for part in path.split("::") if part for name in _expand_braces(part, where)]
    if len(names) > _MOST:
        raise ParamsError(f"{where} = {path!r} names more than {_MOST:,} files")
    return list(dict.fromkeys(_place(name, where) for name in names))


def _expand_braces(part: str, where: str) -> list[str]:
    """Texts that braces stand for; their number is checked before anything is expanded."""
    short = shorten(part)
    try:
        count, longest = _measure(part)
        if count <= _MOST and count * longest <= _MOST * _USUAL:
            return list(braceexpand.braceexpand(part, escape=False))
    except ValueError:
        raise ParamsError(
            f"{where} = {short!r}: a brace is not closed, or they are nested too deeply; expected as in "
            "a-{00..09}.tar"
        ) from None
    raise ParamsError(f"{where} = {short!r} names more than {_MOST:,} files, or very long ones")


@dataclass(slots=True)
class _Brace:
    """A brace that is open, or the whole text: where it begins, and what its alternatives stand for.

    Attributes:
        begin: of what is in it.
        before: how many texts the alternatives before the last comma are.
        widest: characters of the longest of these.
        count: how many texts the last alternative is so far.
        length: characters of the longest of these.
    """

    begin: int
    before: int = 0
    widest: int = 0
    count: int = 1
    length: int = 0

    def next(self) -> None:
        """Begin another alternative."""
        self.before = min(self.before + self.count, _MOST + 1)
        self.widest = max(self.widest, self.length)
        self.count, self.length = 1, 0

    def closed(self, inside: str) -> tuple[int, int]:
        """Number of texts that it stands for, and the characters of the longest."""
        if numbers := _NUMBERS.fullmatch(inside):
            first, last, step = numbers.groups()
            return abs(int(last) - int(first)) // (int(step or 1) or 1) + 1, max(len(first), len(last))
        if _LETTERS.fullmatch(inside):
            return 2 * 26, 1
        if not self.before:
            return self.count, self.length + 2  # braces that stand for themselves
        self.next()
        return self.before, self.widest


def _measure(part: str) -> tuple[int, int]:
    """Number of texts that braces stand for (100,001 for more), and the characters of the longest.

    Raises:
        ValueError: braces are not balanced, are nested too deeply, or have numbers of thousands of digits.
    """
    open_braces = [_Brace(0)]
    for index, letter in enumerate(part):
        if letter == "{":
            open_braces.append(_Brace(index + 1))
            if len(open_braces) > _DEEPEST:
                raise ValueError("braces are nested too deeply")
        elif letter == "}":
            brace = open_braces.pop()
            count, longest = brace.closed(part[brace.begin : index])
            if not open_braces:
                raise ValueError("a brace is closed that was not opened")
            open_braces[-1].count = min(open_braces[-1].count * count, _MOST + 1)
            open_braces[-1].length += longest
        elif letter == "," and len(open_braces) > 1:
            open_braces[-1].next()
        else:
            open_braces[-1].length += 1
    if len(open_braces) > 1:
        raise ValueError("a brace is not closed")
    return open_braces[0].count, open_braces[0].length


def _place(one: str, where: str) -> str:
    one = one.removeprefix("file://")
    scheme, short = _SCHEME.match(one), repr(shorten(one))
    if scheme and scheme[2]:
        raise ParamsError(f"{where} = {short} is a shell command, and none is run; give files or addresses")
    if scheme and scheme[1] not in ("http", "https"):
        raise ParamsError(
            f"{where} = {short}: addresses are read by http:// and https:// alone; download it and give the file"
        )
    if not scheme and not is_valid_path(one):
        raise ParamsError(f"{where} = {short} is no path that file systems take; it is too long")
    return one if scheme else str(Path(re.sub(_CALLABLE, r"\1", one)))


def existing_paths(place: str) -> list[str]:
    """Existing files and folders of a name or a pattern, sorted; an address always exists."""
    if is_address(place):
        return [place]
    if not ("*" in place or "?" in place):
        return [place] if Path(place).exists() else []
    base = Path(Path(place).anchor)
    return sorted(map(str, base.glob(_pattern(str(Path(place).relative_to(base))))))


def existing_files(place: str) -> list[str]:
    """Names of existing files, those in folders included; an address is its own name."""
    if is_address(place):
        return [place]
    files: list[Path] = []
    for path in map(Path, existing_paths(place)):
        files += [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sorted(map(str, files))


def is_inside(name: str, place: str) -> bool:
    """Whether a file is named by a place, or is inside it; by their names alone.

    Example:
        >>> is_inside("photos/cat/1.png", "photos"), is_inside("photos2/1.png", "photos")
        (True, False)
        >>> is_inside("a-1.tar", "a-*.tar")
        True
    """
    parts, patterns = name.split("/"), place.split("/")
    return len(parts) >= len(patterns) and all(
        part == pattern or fnmatchcase(part, _pattern(pattern)) for part, pattern in zip(parts, patterns, strict=False)
    )


def is_address(place: str) -> bool:
    """Whether it is not a file of this machine."""
    return place.startswith(("http://", "https://"))


def _pattern(text: str) -> str:
    """A pattern in which `[` is a letter, and `**` means `*`: `/**` would be all of a disk."""
    return re.sub(r"\*+", "*", text.replace("[", "[[]"))
