"""Asking git: nothing is written, nothing that a repository configures is run, whoever owns its files.

What a repository may tell git about its own objects (`git replace`, grafts) is not listened to.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_COMMAND = (
    "git",
    "-c",
    "safe.directory=*",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.quotePath=false",
)
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "LC_ALL": "C",
}


def ask(*words: str, home: Path = Path(), given: bytes | None = None) -> bytes | None:
    """Return what git prints in a folder; None where it fails or is not installed.

    Args:
        words: the command.
        home: the folder.
        given: what it reads; default: nothing.
    """
    try:
        done = subprocess.run(
            [*_COMMAND, *words],
            cwd=home,
            capture_output=True,
            env=_environment(),
            input=given if given is not None else b"",
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _environment() -> dict[str, str]:
    """Return this process's environment without what would point git at another repository."""
    return {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | _QUIET


def says(*words: str, home: Path = Path()) -> str | None:
    """Return the text that git prints, without the line's end; None where it fails."""
    said = ask(*words, home=home)
    return None if said is None else os.fsdecode(said).rstrip("\n")
