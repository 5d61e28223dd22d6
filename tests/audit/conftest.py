"""A benchmark that was made once, for the checks of the evidence."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from makers.commands import Worker
from makers.made_benchmark import Made, Restored, checkout, commit, forget, with_original
from makers.made_once import made_once
from shiftbench.audit.reproduce import isolation
from shiftbench.base import registry
from shiftbench.release import make as releases
from shiftbench.workflow.tools import run_local


@pytest.fixture(autouse=True)
def _warm_workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers have the libraries from the start, three seconds each; tests marked `real_workers` start them."""
    if not request.node.get_closest_marker("real_workers"):
        fake = SimpleNamespace(**{**vars(subprocess), "Popen": Worker})
        monkeypatch.setattr(isolation, "subprocess", fake)


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    def make(home: Path) -> None:
        made = checkout(home / "checkout")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(made.root)
            forget()
            run_local.make(made.plan(), made.root)

    return Made(made_once(tmp_path_factory, "made", make) / "checkout")


@pytest.fixture
def made(_made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A copy of the benchmark, which a test may spoil; its folder is the working one."""
    root = tmp_path / "checkout"
    shutil.copytree(_made.root, root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    return Made(root)


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory) -> Made:
    def make(home: Path) -> None:
        root = home / "checkout"
        root.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            patch.setattr(registry.Folders, "extra", registry.Folders.extra)
            forget()
            made = with_original(root)
            run_local.make(made.plan(), root)
            request = releases.Request("v1", None, releases.release_time("2026-01-01T00:00:00+00:00"), None)
            releases.make(made.plan(), root, root, request)
            commit()

    return Made(made_once(tmp_path_factory, "published", make) / "checkout")


@pytest.fixture(scope="session")
def _spoilt(_published: Made, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    return Restored(_published.root, tmp_path_factory.mktemp("spoilt") / "checkout")


@pytest.fixture
def published(_spoilt: Restored, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """The benchmark with an original and a card, in git, made and released; to be spoilt."""
    monkeypatch.chdir(_spoilt.made.root)
    monkeypatch.setattr(registry.Folders, "extra", registry.Folders.extra)
    forget()
    yield _spoilt.made
    _spoilt.restore()
    forget()
