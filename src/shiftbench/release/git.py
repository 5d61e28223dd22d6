"""What a release asks of git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from shiftbench.errors import DataError


def commit(home: Path) -> str:
    """Return the commit that is checked out.

    Raises:
        DataError: there is no git, no repository or no commit.
    """
    head = _ask(home, "rev-parse", "--verify", "HEAD")
    if head is None:
        raise DataError(
            f"{home.resolve()} has no git commit, and a release names one; "
            "run `git init`, `git add -A` and `git commit`"
        )
    return head.decode().strip()


def dirty(home: Path) -> list[str]:
    """Return the files that differ from the commit or are unknown to it, sorted."""
    said = _ask(
        home, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", "."
    )
    return sorted(line[3:] for line in (said or b"").decode().split("\0") if line)


def show(home: Path, revision: str, path: str) -> bytes | None:
    """Return a file of a commit; None when the commit (a shallow clone) or the file is not there."""
    return _ask(home, "show", f"{revision}:./{path}")


def knows(home: Path, revision: str) -> bool:
    """Tell whether a commit is here."""
    return _ask(home, "cat-file", "-e", f"{revision}^{{commit}}") is not None


def config(home: Path, key: str) -> str | None:
    """Return a setting of git; None where it is not set."""
    said = _ask(home, "config", "--get", key)
    return said.decode().strip() if said else None


def _ask(home: Path, *words: str) -> bytes | None:
    try:
        done = subprocess.run(["git", *words], cwd=home, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
