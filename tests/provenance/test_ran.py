"""What runs in a job is heard: Python's own functions, those that numba compiles or loads, and in each thread."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shiftbench.base import registry
from shiftbench.provenance import ran

MODULE = """
import numba
from shiftbench.base.compiled import compiled

def plain(x):
    return inner(x)

def inner(x):
    return x + 1

def never(x):
    return x

@compiled
def wrapped(x):
    return x + 2

@numba.njit(cache=True)
def kept(x):
    return helper(x) + 3

@numba.njit(cache=True)
def helper(x):
    return x

@numba.njit("int64(int64)")
def eager(x):
    return x

def at_import():
    return 4

FOUR = at_import()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "loops.py").write_text(MODULE)
    monkeypatch.setattr(registry.Folders, "extra", (folder,))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    yield folder
    forget()


def forget() -> None:
    for name in ("mine", "mine.loops"):
        sys.modules.pop(name, None)


def imported() -> ModuleType:
    forget()
    return importlib.import_module("mine.loops")


def heard(code: ran.Ran) -> set[str]:
    names = (one.name for _, imports, one in code.definitions() if not imports)
    return {name.rpartition(": ")[2] for name in names if name.startswith("mine/")}


def test_what_is_called_is_heard_and_nothing_else(folder: Path) -> None:
    loops = imported()
    with ran.watched() as code:
        assert loops.plain(1) == 2
    assert heard(code) == {"plain", "inner"}


def test_compiled_functions_are_heard_when_compiled_when_loaded_and_when_wrapped(folder: Path) -> None:
    for _ in range(2):  # the second time from numba's cache
        loops = imported()
        with ran.watched() as code:
            assert (loops.wrapped(1), loops.kept(1)) == (3, 4)
        assert {"wrapped", "kept"} <= heard(code)
        with ran.watched() as again:
            loops.wrapped(1)
        assert "wrapped" in heard(again)


def test_an_import_within_a_job_is_told_from_what_the_job_calls(folder: Path) -> None:
    with ran.watched() as code:
        loops = imported()
    assert "at_import" not in heard(code)
    assert "eager" in heard(code)  # its machine code runs unheard from now on
    table = {"code": {}}
    assert not any("at_import" in name for name in code.unlisted([table]))
    with ran.watched() as code:
        loops.at_import()
    assert heard(code) == {"at_import"}
    assert any("at_import" in name for name in code.unlisted([table]))
