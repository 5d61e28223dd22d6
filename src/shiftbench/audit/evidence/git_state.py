"""What git knows of this checkout; nothing is written, whoever owns the files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shiftbench.provenance.git import ask as ask
from shiftbench.provenance.git import says as says


@dataclass(frozen=True, slots=True)
class Tracked:
    """A file that git knows: where it lies, and its name relative to the top of the repository."""

    path: Path
    name: str

    def blob(self) -> bytes | None:
        """Return its content in HEAD; None where HEAD does not have it."""
        return ask("show", f"HEAD:{self.name}")


def top() -> Path:
    """Return the top folder of the repository that the working folder lies in."""
    return Path(says("rev-parse", "--show-toplevel") or ".").resolve()


def changed() -> tuple[list[Tracked], list[str]]:
    """Return the files that may differ from HEAD, and the names of those that git does not know and does not ignore.

    Those of which git was told not to look whether they changed are among the first.
    """
    home = top()
    told = _lines("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    unknown = [line[3:] for line in told if line.startswith("??")]
    names = {line[3:] for line in told if not line.startswith("??")}
    names |= {
        line[2:] for line in _lines("ls-files", "-v", "-z") if line[0].islower() or line[0] == "S"
    }
    return [Tracked(home / name, name) for name in sorted(names)], unknown


def tracked() -> set[Path]:
    """Return where the files lie that HEAD has."""
    home = top()
    return {home / name for name in _lines("ls-tree", "-r", "-z", "--name-only", "HEAD")}


def _lines(*words: str) -> list[str]:
    """Return what git prints of the whole repository, parted by zero bytes."""
    said = ask("-C", str(top()), *words) or b""
    return [os.fsdecode(line) for line in said.split(b"\0") if line]


def is_shallow() -> bool:
    """Tell whether the history was cut when it was cloned."""
    return says("rev-parse", "--is-shallow-repository") == "true"


def is_known(commit: str) -> bool:
    """Tell whether a commit is here."""
    return ask("cat-file", "-e", f"{commit}^{{commit}}") is not None


def is_ancestor(commit: str) -> bool:
    """Tell whether a commit is HEAD or before it."""
    return ask("merge-base", "--is-ancestor", commit, "HEAD") is not None
