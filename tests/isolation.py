"""Tests look at nothing of the checkout but its tracked files, so that they pass after anything that was done in it.

Each test runs in a folder of its own. Whoever reads, lists, enters or starts a program in a place of the checkout that
git does not track (`data`, `results`, the lock of `make record`) fails, with the place named.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
USERS = ("dvc.lock", "sources.lock", "releases/")
"""What a user's own work puts under version control; to tests it is not there."""
TOOLS = (".git", ".venv", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".coverage", ".hypothesis")
READS = ("open", "os.listdir", "os.scandir")


def tracked() -> tuple[str, ...]:
    """Return the files under version control, those too that the next commit may add, as they are called in git."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    kept = (name for name in sorted(set(names.split("\0"))) if not name.startswith(USERS))
    return tuple(name for name in kept if name and (ROOT / name).is_file())


class Guard:
    """Notes what is read of the checkout beside tracked files, from when it is installed to the end of the process."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        self.inside = f"{root}{os.sep}"
        self.root = str(root)
        self.allowed = _with_folders(names)
        self.found: set[tuple[str, str]] = set()

    def take(self) -> list[str]:
        """Return what was found since the last time, without what is new in git since then (`make golden`)."""
        known = _with_folders(tracked()) if self.found else set()
        found = sorted(
            f"{what} {name or self.root}" for what, name in self.found if what != "read" or name not in known
        )
        self.found.clear()
        return found

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at an audit event of Python (PEP 578)."""
        if event in READS or event == "os.chdir":
            self._look("chdir to" if event == "os.chdir" else "read", args[0])
        elif event == "subprocess.Popen" and args[2] is not None and args[1][0] != "git":
            self._look("started a program in", args[2])

    def _look(self, what: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file descriptor, or no place at all
        name = os.fsdecode(path)
        if name.startswith(self.inside):
            name = name.removeprefix(self.inside).rstrip(os.sep)
            if what == "read" and (name in self.allowed or _of_a_tool(name)):
                return
        elif name == self.root and not _importing():
            name = ""
        else:
            return
        self.found.add((what, name))


def _with_folders(names: tuple[str, ...]) -> set[str]:
    folders = (str(folder) for name in names for folder in Path(name).parents if folder.name)
    return {*names, *folders}


def _of_a_tool(name: str) -> bool:
    return name.startswith(TOOLS) or "__pycache__" in name or ".egg-info" in name


def _importing() -> bool:
    """Tell whether an import looks for a module, which it does in the folder that Python was started in too."""
    frame = sys._getframe(3)
    return "importlib" in frame.f_code.co_filename


GUARD = Guard(ROOT, tracked())


def pytest_sessionstart() -> None:
    """Watch this process; an audit hook stays until its end."""
    sys.addaudithook(GUARD)


def pytest_collection_finish() -> None:
    """Forget what was read while tests were looked for."""
    GUARD.found.clear()


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Make shared fixtures in an empty folder."""
    with contextlib.chdir(tmp_path_factory.mktemp("working-folder")):
        yield


@pytest.fixture(autouse=True)
def _isolated(_elsewhere: None, tmp_path: Path) -> Iterator[None]:
    """Run each test in a folder of its own, and fail it for what it, or a fixture made for it, read of the checkout."""
    with contextlib.chdir(tmp_path):
        yield
    found = GUARD.take()
    assert not found, (
        f"{', '.join(found)}: a test that looks at more of the checkout than its tracked files fails "
        "after `make run`; make it in tmp_path, or use the fixture `pristine`"
    )


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as somebody sees it who has done nothing in it yet; not to be changed by a test."""
    return copy_tracked(tmp_path_factory.mktemp("pristine") / "checkout")


@pytest.fixture
def in_pristine(pristine: Path) -> Iterator[Path]:
    """Enter it."""
    with contextlib.chdir(pristine):
        yield pristine


def copy_tracked(folder: Path) -> Path:
    """Copy the tracked files, as they are now, into a new folder, and return it."""
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder
