"""Trust: the checkouts whose code may run.

No code of an untrusted checkout runs: plugins are read, not imported, DVC gets no setting that could start a program,
and nothing is written outside of the checkout or through a symbolic link (`refuse_links`). A checkout is trusted if
this package is a part of it (`make setup`), if `shiftbench init` made it or a run was started in it, or if the user
ran `shiftbench trust` there. The list is outside of all checkouts, with a folder per line.
`FOLDER/*` means all folders below.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from shiftbench.base import files, registry
from shiftbench.base.errors import DataError, UntrustedError

VARIABLE = "SHIFTBENCH_TRUSTED"
"""The environment variable that names another list."""
SOURCES = ("src/shiftbench", "shiftbench")
"""Where a checkout may have the package; else it uses an installed one."""
_MADE: set[Path] = set()
"""Folders that this process made for itself."""


def listed_in() -> Path:
    """File with the list."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "shiftbench" / "trusted"


def is_trusted(folder: Path = Path()) -> bool:
    """Whether code of a checkout may be run."""
    home = folder.resolve()
    if home in _MADE or registry.PACKAGE.resolve() in [home / name for name in SOURCES]:
        return True
    lines = _lines()
    return str(home) in lines or any(str(above / "*") in lines for above in home.parents)


def trust(folder: Path = Path()) -> None:
    """Trust a checkout from now on.

    Raises:
        DataError: the list cannot be written.
    """
    home = str(folder.resolve())
    if is_trusted(folder):
        return
    if not home.isprintable() or home.endswith("/*"):
        raise DataError(
            f"{home!r} cannot be trusted: its path has a character that is not printed, or would name all folders "
            "next to it; rename the folder"
        )
    files.write_bytes(listed_in(), "".join(f"{line}\n" for line in [*_lines(), home]).encode())


def by_doing(folder: Path = Path()) -> None:
    """Trust a checkout that the user made or runs; if the list cannot be written, the next command decides again."""
    with contextlib.suppress(DataError):
        trust(folder)


def made(folder: Path) -> None:
    """Trust a folder that this process made, as long as it lasts."""
    _MADE.add(folder.resolve())


def require(what: str, folder: Path = Path()) -> None:
    """Refuse an untrusted checkout.

    Args:
        what: the action that needs trust, for the message.
        folder: folder of the checkout.

    Raises:
        UntrustedError: it is not trusted; the message states how to trust it.
    """
    if not is_trusted(folder):
        raise UntrustedError(
            f"{folder.resolve()} is not trusted, and {what}; look at it, then run `shiftbench trust` there once "
            "(docs/security.md)"
        )


# --- where a checkout may have files written ---------------------------------------------------------


def refuse_links(*paths: Path | str, home: Path = Path()) -> None:
    """Refuse to write through links of an untrusted checkout.

    A link from a file to DVC's cache within the checkout is DVC's own and may stay.

    Args:
        paths: files and folders to be written, moved or removed; relative to `home`, or absolute.
        home: the checkout.

    Raises:
        UntrustedError: a path is not below the checkout; or it, a folder above it or anything below it is a link.
    """
    if is_trusted(home):
        return
    top = home.resolve()
    for place in (top / path for path in paths):
        if ".." in place.parts or not place.is_relative_to(top):
            require(f"{place} is not below it, so files would be written elsewhere", home)
        below = (Path(at, name) for at, *names in os.walk(place) for name in itertools.chain(*names))
        _refuse(itertools.chain(_down_to(place, top), below), top)


def _before_writing(file: Path) -> None:
    """Refuse to write a file through a link of the current folder.

    An absolute path, of a cache or of what the user names, is no matter of a checkout.
    """
    top = Path.cwd()
    if not file.is_absolute() and ".." not in file.parts:
        _refuse(_down_to(top / file, top), top)


files.CHECKS.append(_before_writing)


def _down_to(place: Path, top: Path) -> Iterator[Path]:
    """Yield the folders from below the top down to a place, and the place."""
    return (path for path in (*reversed(place.parents), place) if top in path.parents)


def _refuse(paths: Iterable[Path], top: Path) -> None:
    for path in paths:
        if path.is_symlink() and not is_stored(path, top):
            require(f"{path} is a symbolic link, through which files would be written", top)


def is_stored(link: Path, top: Path) -> bool:
    """Whether a link leads to a file of a checkout's DVC cache; a cache that is a link itself is none.

    Args:
        link: its path.
        top: the checkout, without links in its path.
    """
    return link.is_file() and link.resolve().is_relative_to(top / ".dvc" / "cache")


def _lines() -> list[str]:
    try:
        return listed_in().read_text().splitlines()
    except OSError:
        return []
