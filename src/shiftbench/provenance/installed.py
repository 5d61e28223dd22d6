"""Installed packages and the RECORD of their wheels: the sha256 of each file as the publisher built it.

A version names a wheel, and its RECORD names the bytes. Files that an installer writes (bytecode, scripts, its own
notes) have no hash there or are elsewhere, and are left out.
"""

import base64
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_HASHED = ",sha256="


def records(names: Iterable[str]) -> dict[str, str]:
    """One digest (16 hexadecimal digits) over the RECORD of each package that has one."""
    lines_by_name = {name: _lines(name) for name in names}
    return {
        name: hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
        for name, lines in lines_by_name.items()
        if lines
    }


def files(name: str) -> Iterator[tuple[Path, str]]:
    """Yield each file of an installed package with a hash in its RECORD, and that sha256 (hexadecimal)."""
    home = Path(str(importlib.metadata.distribution(name).locate_file("")))
    for line in _lines(name):
        path, _, rest = line.rpartition(_HASHED)
        digest = rest.partition(",")[0]
        yield home / path.strip('"'), base64.urlsafe_b64decode(f"{digest}=").hex()


def imported_from_elsewhere(name: str) -> Iterator[tuple[str, str]]:
    """Yield each module of a package that is imported from another place, and that place."""
    own_files = {os.path.realpath(file) for file, _ in files(name)} if records([name]) else set()
    tops = {part for line in _lines(name) if (part := _top(line))}
    for module in sorted(tops) if own_files else ():
        loaded = getattr(sys.modules.get(module), "__file__", None)
        place = loaded or _origin(module)
        if place and os.path.realpath(place) not in own_files:
            yield module, place


def _top(line: str) -> str | None:
    """The top-level module in a line of a RECORD; None for other files."""
    path = line.rpartition(_HASHED)[0].strip('"')
    first, _, rest = path.partition("/")
    if rest == "__init__.py" or (not rest and path.endswith(".py")):
        return first.removesuffix(".py")
    return None


def _origin(module: str) -> str | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


def stated(file: Path) -> str | None:
    """The sha256 of a file of site-packages in a RECORD; None if no RECORD has it."""
    parts = file.parts
    index = max((i for i, part in enumerate(parts) if part.endswith("-packages")), default=None)
    if index is None:
        return None
    return _digests_by_path(Path(*parts[: index + 1])).get("/".join(parts[index + 1 :]))


@functools.cache
def _digests_by_path(home: Path) -> dict[str, str]:
    """The sha256 of all files in the RECORDs of a folder of packages, by path in it."""
    digests: dict[str, str] = {}
    for record in home.glob("*.dist-info/RECORD"):
        for line in record.read_text(errors="replace").splitlines():
            path, separator, rest = line.rpartition(_HASHED)
            if separator:
                digest = rest.partition(",")[0]
                digests[path.strip('"')] = base64.urlsafe_b64decode(f"{digest}=").hex()
    return digests


@functools.cache
def _lines(name: str) -> tuple[str, ...]:
    """The sorted lines of a RECORD with the hash of a file of the package itself."""
    try:
        text = importlib.metadata.distribution(name).read_text("RECORD") or ""
    except importlib.metadata.PackageNotFoundError:
        return ()
    hashed = (line for line in text.splitlines() if _HASHED in line and not line.startswith(".."))
    return tuple(sorted(line for line in hashed if ".dist-info/" not in line))
