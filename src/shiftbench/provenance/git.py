"""Asking git: nothing is written, nothing that a repository configures is run, whoever owns its files.

What a repository may tell git about its own objects (`git replace`, grafts) is not listened to. Git itself refuses
repositories of other users because their configuration can name programs; here none of these is run instead: hooks,
the monitor of the file system, filters, transports, the configuration of submodules.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

_SET = {
    "safe.directory": "*",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
}
_COMMAND = ("git", "--no-pager", *(word for key in _SET for word in ("-c", f"{key}={_SET[key]}")))
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # what an older git fetches lazily goes through a program of its remote's
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_FILTER = ("clean", "smudge", "process")


def ask(
    *words: str,
    home: Path = Path(),
    given: bytes | None = None,
    more: dict[str, str] | None = None,
) -> bytes | None:
    """Return what git prints in a folder; None where it fails or is not installed.

    Args:
        words: the command; before a word that somebody else wrote stands `--end-of-options`.
        home: the folder.
        given: what it reads; default: nothing.
        more: variables of its environment.
    """
    try:
        done = subprocess.run(
            [*_COMMAND, *words],
            cwd=home,
            capture_output=True,
            env=_environment() | (more or {}),
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


def changed(*words: str, home: Path = Path()) -> list[str]:
    """Return the files that differ from the commit, sorted; submodules are not looked into.

    Args:
        words: options and paths of `git status`.
        home: the folder.
    """
    how = ("status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all")
    said = ask(*how, *words, home=home, more=_without_filters(home)) or b""
    return sorted(os.fsdecode(line[3:]) for line in said.split(b"\0") if line)


def yours(key: str) -> str | None:
    """Return a setting of the user's or the machine's, which no repository has a say in; None where it is not set."""
    said = ask("config", "--get", key, more={"GIT_DIR": os.devnull})
    return os.fsdecode(said).rstrip("\n") if said else None


def _without_filters(home: Path) -> dict[str, str]:
    """Return the environment in which git has no filters but the user's own (git-lfs): none of the repository's."""
    asked = ("config", "-z", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    words = (ask(*asked, home=home) or b"").split(b"\0")
    scoped = zip(words[::2], words[1::2], strict=False)
    names = {key.rpartition(b".")[0] for scope, key in scoped if scope in (b"local", b"worktree")}
    return _configured(f"{os.fsdecode(name)}.{how}" for name in names for how in _FILTER)


def _configured(emptied: Iterable[str]) -> dict[str, str]:
    """Return the environment that sets keys to nothing; in an argument, `=` would end a name."""
    keys = list(emptied)
    found = {"GIT_CONFIG_COUNT": str(len(keys))}
    for number, key in enumerate(keys):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": ""}
    return found
