"""Trust: of which checkouts the user lets code run.

Of a checkout that is not trusted nothing is run: plugins are read, not imported, DVC is given no setting that could
start a program, and nothing is written through a symbolic link. A checkout is trusted when this very package is a part
of it (`make setup`), when `shiftbench init` made it or a run was started in it, or when the user once said `--trust`.
The list stands outside of all checkouts, a folder a line; what ends in `/*` stands for all that lies below.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from shiftbench import files, plugins
from shiftbench.errors import DataError, UntrustedError

VARIABLE = "SHIFTBENCH_TRUSTED"
"""The environment variable that names another list."""
SOURCES = ("src/shiftbench", "shiftbench")
"""Where a checkout may have the package; else it uses an installed one."""
_MADE: set[Path] = set()
"""Folders that this process made for itself."""


def listed_in() -> Path:
    """Return the file with the list."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "shiftbench" / "trusted"


def is_trusted(folder: Path = Path()) -> bool:
    """Tell whether code of a checkout may be run."""
    home = folder.resolve()
    if home in _MADE or plugins.PACKAGE.resolve() in [home / name for name in SOURCES]:
        return True
    lines = _lines()
    return str(home) in lines or any(str(above / "*") in lines for above in home.parents)


def trust(folder: Path = Path()) -> None:
    """Let code of a checkout run from now on.

    Raises:
        DataError: the list cannot be written.
    """
    home = str(folder.resolve())
    if is_trusted(folder):
        return
    if not home.isprintable():
        raise DataError(f"{home!r} cannot be trusted: its path has a character that is not printed")
    files.write_bytes(listed_in(), "".join(f"{line}\n" for line in [*_lines(), home]).encode())


def by_doing(folder: Path = Path()) -> None:
    """Trust a checkout that the user made or runs; where the list cannot be written, it is asked for again."""
    with contextlib.suppress(DataError):
        trust(folder)


def made(folder: Path) -> None:
    """Trust a folder that this process made, as long as it lasts."""
    _MADE.add(folder.resolve())


def require(what: str, folder: Path = Path()) -> None:
    """Go on only where a checkout is trusted.

    Args:
        what: would be run of it, or done because it says so.
        folder: of the checkout.

    Raises:
        UntrustedError: it is not; the message says how to trust it.
    """
    if not is_trusted(folder):
        raise UntrustedError(
            f"{folder.resolve()} is not trusted, and {what}; look at it, then run `shiftbench --trust COMMAND` there "
            "once (docs/security.md)"
        )


def _lines() -> list[str]:
    try:
        return listed_in().read_text().splitlines()
    except OSError:
        return []
