"""Run files state what Python loaded before the program; it excuses no difference."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from shiftbench.audit.checks import machines
from shiftbench.audit.compare import causes
from shiftbench.audit.evidence import environments
from shiftbench.provenance import environment


def test_variables_modules_and_files_that_run_code_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "site-packages"
    home.mkdir()
    (home / "runs.pth").write_text("/a/folder\nimport os\n")
    (home / "names.pth").write_text("/a/folder\n")
    for name in environment.STARTUP:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", "/a/strangers/folder")
    monkeypatch.setenv("LD_PRELOAD", "/a/strangers/library.so")
    module = ModuleType("sitecustomize")
    module.__file__ = str(home / "runs.pth")
    monkeypatch.setitem(sys.modules, "sitecustomize", module)
    monkeypatch.setattr(sys, "path", [str(home)])
    found = environment.startup()
    assert found.keys() == {"PYTHONPATH", "LD_PRELOAD", "sitecustomize", "pth"} | (
        {"usercustomize"} & sys.modules.keys()
    )
    assert found["pth"].keys() == {"runs.pth"}
    assert "stranger" not in str(found)  # a folder of one machine is no fact on another


def test_it_is_no_cause_and_no_reason() -> None:
    here, there = ({"environment": {"python": "3", "startup": one}} for one in ({}, {"LD_PRELOAD": True}))
    assert causes.run_environment(here) == causes.run_environment(there)
    assert environments.reasons(here["environment"], there["environment"]) == []


def test_the_audit_names_what_is_stated_and_what_is_unknown() -> None:
    runs = [{"environment": {"startup": {"PYTHONPATH": True}}}, {"environment": {}}, {}]
    said = [note.text for note in machines._startup(runs) if note.limits]
    assert said[0].startswith("of 2 outputs it is unknown")
    assert said[1].endswith("preloaded: PYTHONPATH (1 outputs)")
