"""What git knows of this checkout; nothing is written, whoever owns the files."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


def ask(*words: str) -> bytes | None:
    """Return what git prints in the working folder; None where it fails or is not installed."""
    command = ["git", "-c", "safe.directory=*", "-c", "core.quotePath=false", *words]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, env=quiet, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def says(*words: str) -> str | None:
    """Return the line that git prints; None where it fails."""
    said = ask(*words)
    return None if said is None else said.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Dirty:
    """A file that is not as HEAD has it.

    Attributes:
        path: where it lies.
        name: relative to the top of the repository.
        is_tracked: whether HEAD or the index knows it.
    """

    path: Path
    name: str
    is_tracked: bool

    def blob(self) -> bytes | None:
        """Return its content in HEAD; None where HEAD does not have it."""
        return ask("show", f"HEAD:{self.name}")


def dirty() -> list[Dirty]:
    """Return what differs from HEAD in the whole repository, and what is in no commit; ignored files are not told."""
    top = Path(says("rev-parse", "--show-toplevel") or ".")
    said = ask("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all") or b""
    lines = [os.fsdecode(line) for line in said.split(b"\0") if line]
    return [Dirty(top / line[3:], line[3:], not line.startswith("??")) for line in lines]


def is_shallow() -> bool:
    """Tell whether the history was cut when it was cloned."""
    return says("rev-parse", "--is-shallow-repository") == "true"


def is_known(commit: str) -> bool:
    """Tell whether a commit is here."""
    return ask("cat-file", "-e", f"{commit}^{{commit}}") is not None


def is_ancestor(commit: str) -> bool:
    """Tell whether a commit is HEAD or before it."""
    return ask("merge-base", "--is-ancestor", commit, "HEAD") is not None
