"""A repository like a user's: a clone of this one with tiny params, run once, pushed, cloned again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from repository import Repository, checkout, clone


@pytest.fixture(scope="session")
def author(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The one who ran the campaign, recorded it with DVC and pushed it."""
    home = tmp_path_factory.mktemp("author")
    repository = checkout(home / "repository")
    repository.run("dvc", "remote", "modify", "local", "url", str(home / "remote"))
    repository.run("git", "commit", "-qam", "remote")
    repository.make()
    repository.run("dvc", "repro", "--quiet")
    repository.run("dvc", "push", "--quiet")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-qm", "results")
    return repository


@pytest.fixture(scope="session")
def _pulled(author: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    colleague = clone(author, tmp_path_factory.mktemp("colleague") / "repository")
    colleague.run("shiftbench", "pull")
    return colleague


@pytest.fixture
def colleague(_pulled: Repository, tmp_path: Path) -> Repository:
    """A fresh clone after `shiftbench pull`; each test has its own copy with new time stamps."""
    shutil.copytree(
        _pulled.path, tmp_path / "repository", copy_function=shutil.copyfile, symlinks=True
    )
    return Repository(tmp_path / "repository")
