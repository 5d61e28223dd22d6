"""A changed file of the user's is run as it stands, whatever bytecode lies beside it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shiftbench.base import registry
from shiftbench.plugins.models import callable as callables


@pytest.fixture(autouse=True)
def _with_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))


def write(file: Path, value: int) -> None:
    """Write a file of the same second and length whatever the value, as an editor does that saves twice."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"VALUE = {value}\ndef give(samples):\n    return {value}\n")
    os.utime(file, (1_000_000_000, 1_000_000_000))


def plugin(home: Path) -> int:
    registry.Folders.use((home / "mine_anew",))
    return int(registry.find("shifts", "mine").VALUE)


def helper(home: Path) -> int:
    (home / "mine_anew/shifts/asks.py").write_text("from mine_anew.shifts import mine\nVALUE = mine.VALUE\n")
    registry.Folders.use((home / "mine_anew",))
    return int(registry.find("shifts", "asks").VALUE)


def function(home: Path) -> Any:
    return callables.find({"path": f"{home}/mine_anew/shifts/mine.py:give", "target": ""})([])


def installed(home: Path) -> Any:
    return callables.find({"path": "", "target": "mine_anew.shifts.mine:give"})([])


@pytest.mark.parametrize("asked", [plugin, helper, function, installed])
def test_a_file_that_changed_within_a_second_is_run_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Callable[[Path], int]
) -> None:
    if asked is installed:
        monkeypatch.syspath_prepend(tmp_path)
    for value in (1, 2, 3):
        write(tmp_path / "mine_anew/shifts/mine.py", value)
        assert asked(tmp_path) == value
        for name in [one for one in sys.modules if one.startswith("mine_anew")]:
            del sys.modules[name]  # as in another process
