"""Asking git: nothing is written, nothing that a repository configures is run, whoever owns its files."""

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
    "core.quotePath=false",
)


def ask(*words: str, home: Path = Path()) -> bytes | None:
    """Return what git prints in a folder; None where it fails or is not installed."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*_COMMAND, *words], cwd=home, capture_output=True, env=quiet, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def says(*words: str, home: Path = Path()) -> str | None:
    """Return the text that git prints, without the line's end; None where it fails."""
    said = ask(*words, home=home)
    return None if said is None else os.fsdecode(said).rstrip("\n")
