"""A campaign that was made once, for the checks of the evidence."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from makers.made_campaign import Made, Restored, checkout, commit, forget, with_original
from shiftbench import plugins
from shiftbench.release import make as releases
from shiftbench.tools import run_local


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made") / "checkout"
    made = checkout(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run_local.make(made.plan(), root)
    return made


@pytest.fixture
def made(_made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A copy of the campaign, which a test may spoil; its folder is the working one."""
    root = tmp_path / "checkout"
    shutil.copytree(_made.root, root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
    return Made(root)


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("published") / "checkout"
    with pytest.MonkeyPatch.context() as patch:
        root.mkdir()
        patch.chdir(root)
        patch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
        forget()
        made = with_original(root)
        run_local.make(made.plan(), root)
        request = releases.Request("v1", None, releases.when("2026-01-01T00:00:00+00:00"), None)
        releases.make(made.plan(), root, root, request)
        commit()
    return made


@pytest.fixture(scope="session")
def _spoilt(_published: Made, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    return Restored(_published.root, tmp_path_factory.mktemp("spoilt") / "checkout")


@pytest.fixture
def published(_spoilt: Restored, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """The campaign with an original and a card, in git, made and released; to be spoilt."""
    monkeypatch.chdir(_spoilt.made.root)
    monkeypatch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
    forget()
    yield _spoilt.made
    _spoilt.restore()
    forget()
