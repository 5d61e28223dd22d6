"""Read-only questions to git: nothing is written, and no program that a repository configures runs.

Replacements of objects (`git replace`, grafts) are ignored. Git refuses repositories of other users, because their
configuration can name programs. Here these programs are turned off instead: hooks, the monitor of the file system,
filters, transports, and the configuration of submodules.

The repository of a folder is the nearest folder with a `.git`; git gets it as an argument. If `.git` leads elsewhere (a
worktree, a submodule), it is used only if the repository there names this folder, or if this folder is trusted. A
repository that makes git read other files than its own, through links, borrowed objects or its configuration, is used
only if it is trusted.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from shiftbench.provenance import child_environment, trust

_SET = {"safe.directory": "*", "core.fsmonitor": "false", "core.hooksPath": os.devnull, "core.quotePath": "false"}
_COMMAND = ("git", "--no-pager", *(word for key in _SET for word in ("-c", f"{key}={_SET[key]}")))
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # an older git runs a program of its remote to fetch lazily
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_FILTER = ("clean", "smudge", "process")
_BORROWED = ("alternates", "http-alternates")
_NAMES_FILES = re.compile("include(if)?\\..*|core\\.(attributes|excludes)file", re.IGNORECASE | re.DOTALL)
"""Settings that name a file which git reads."""
_UNREAD = {"hooks", "modules"}
"""Folders of a repository that are never read here; links in them are usual."""


def ask(
    *words: str, home: Path = Path(), given: bytes | None = None, more: dict[str, str] | None = None
) -> bytes | None:
    """The output of git in a folder; None if it fails or is not installed.

    Args:
        words: the command, with `--end-of-options` before a word from somebody else.
        home: the folder.
        given: its standard input; default: empty.
        more: further environment variables.
    """
    here = home.absolute()
    has_repository = more is not None and "GIT_DIR" in more
    variables = {**_QUIET, **({} if has_repository else _repository(here)), **(more or {})}
    try:
        process = subprocess.run(
            [*_COMMAND, "-C", str(here), *words],
            cwd=child_environment.NOWHERE,
            capture_output=True,
            env=child_environment.build(child_environment.LIBRARIES, variables),
            input=given if given is not None else b"",
            check=False,
        )
    except FileNotFoundError:
        return None
    return process.stdout if process.returncode == 0 else None


def _repository(home: Path) -> dict[str, str]:
    """The variables that name the repository of a folder, so that no file in it can name another one."""
    above = (folder for folder in (home, *home.parents) if os.path.lexists(folder / ".git"))
    folder = next(above, None)
    if folder is None or not (any(map(trust.is_trusted, (home, folder))) or _owns(folder)):
        return {"GIT_DIR": os.devnull}
    return {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder)}


def _owns(folder: Path) -> bool:
    """Whether `.git` is the repository of a folder, or leads to one that names the folder."""
    dot = folder / ".git"
    if dot.is_symlink():
        return False
    if dot.is_dir():
        return _shares(dot, dot) and _reads_itself(dot)
    match = re.fullmatch(r"gitdir: (.+?)\n*", _text(dot), re.DOTALL)
    repository = (folder / match[1]).resolve() if match else Path(os.devnull)
    back_link = _text(repository / "gitdir").rstrip("\n")
    if back_link and (repository / back_link).resolve() == dot.resolve():
        shared = repository.parent.parent  # a worktree: .git/worktrees/NAME
        return _shares(repository, shared) and _reads_itself(shared)
    question = ("config", "--no-includes", "--file", str(repository / "config"), "--get", "core.worktree")
    work_tree = says(*question, more={"GIT_DIR": os.devnull})
    is_named = bool(work_tree) and (repository / str(work_tree)).resolve() == folder.resolve()
    return is_named and _shares(repository, repository) and _reads_itself(repository)


def _reads_itself(repository: Path) -> bool:
    """Whether git would read only plain files in a repository."""
    try:
        if not all(_is_plain(entry) for entry in _entries(repository)):
            return False
    except OSError:
        return False
    files = [repository / name for name in ("config", "config.worktree")]
    keys = [key for file in files if file.is_file() for key in _keys(file)]
    borrows = any(os.path.lexists(repository / "objects/info" / name) for name in _BORROWED)
    return not (borrows or any(_NAMES_FILES.fullmatch(key) for key in keys))


def _entries(repository: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files of a repository, without its objects, whose content git checks."""
    folders = [str(repository)]
    while folders:
        with os.scandir(folders.pop()) as listing:
            entries = [entry for entry in listing if entry.name not in _UNREAD]
        yield from entries
        below = (entry for entry in entries if not re.fullmatch("[0-9a-f]{2}", entry.name))
        folders += [entry.path for entry in below if entry.is_dir(follow_symlinks=False)]


def _is_plain(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)


def _keys(file: Path) -> list[str]:
    """The names of the settings in a configuration file of git."""
    question = ("config", "--no-includes", "--file", str(file), "--name-only", "--list", "-z")
    return (says(*question, more={"GIT_DIR": os.devnull}) or "").split("\0")


def _shares(repository: Path, folder: Path) -> bool:
    """Whether a repository has its branches and objects in a folder."""
    common = _text(repository / "commondir").rstrip("\n")
    return (repository / common).resolve() == folder.resolve()


def _text(file: Path) -> str:
    """The content of a short file; empty without the file."""
    if not file.is_file():
        return ""
    with file.open("rb") as stream:
        return os.fsdecode(stream.read(1 << 12))


def says(*words: str, home: Path = Path(), more: dict[str, str] | None = None) -> str | None:
    """The output of git as text, without the last line end; None if it fails."""
    output = ask(*words, home=home, more=more)
    return None if output is None else os.fsdecode(output).rstrip("\n")


def changed(*words: str, home: Path = Path()) -> list[str]:
    """The sorted files that differ from the commit, without those of submodules.

    Args:
        words: options and paths of `git status`.
        home: the folder.
    """
    status = ("status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=all")
    output = ask(*status, *words, home=home, more=_without_filters(home)) or b""
    return sorted(os.fsdecode(line[3:]) for line in output.split(b"\0") if line)


def is_known(commit: str, home: Path = Path()) -> bool:
    """Whether a repository has a commit."""
    return ask("cat-file", "-e", "--end-of-options", f"{commit}^{{commit}}", home=home) is not None


def yours(key: str) -> str | None:
    """A setting of the user or the machine, not of a repository; None if it is not set."""
    output = ask("config", "--get", key, more={"GIT_DIR": os.devnull})
    return os.fsdecode(output).rstrip("\n") if output else None


def _without_filters(home: Path) -> dict[str, str]:
    """The environment in which git uses the user's own filters (git-lfs), but none of the repository."""
    question = ("config", "-z", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    words = (ask(*question, home=home) or b"").split(b"\0")
    scoped = zip(words[::2], words[1::2], strict=False)
    names = {key.rpartition(b".")[0] for scope, key in scoped if scope in (b"local", b"worktree")}
    return _emptied(f"{os.fsdecode(name)}.{key}" for name in names for key in _FILTER)


def _emptied(names: Iterable[str]) -> dict[str, str]:
    """The environment that empties some keys; in an argument, `=` would end a name."""
    keys = list(names)
    variables = {"GIT_CONFIG_COUNT": str(len(keys))}
    for number, key in enumerate(keys):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": ""}
    return variables
