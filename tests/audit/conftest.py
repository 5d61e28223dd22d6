"""A campaign that was made once, for the checks of the evidence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from made import Made, checkout, make_all
from shiftbench import plugins


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made") / "checkout"
    made = checkout(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        make_all(made.plan(), root)
    return made


@pytest.fixture
def made(_made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A copy of the campaign, which a test may spoil; its folder is the working one."""
    root = tmp_path / "checkout"
    shutil.copytree(_made.root, root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
    return Made(root)
