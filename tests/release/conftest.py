"""The tiny benchmark, released once with a signature; copies of it to change."""

import shutil
from pathlib import Path

import pytest

from makers.released_benchmark import CREATED, call
from makers.repositories import Repository
from shiftbench.release import manifest

collect_ignore = ["validate_bill.py", "validate_crate.py"]  # run by the validators' Python


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an SSH key, and the file that says whose it is."""
    folder = tmp_path_factory.mktemp("keys")
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(folder / "key"))
    public = (folder / "key.pub").read_text()
    (folder / "signers").write_text(f'tests@example.org namespaces="shiftbench" {public}')
    return folder


@pytest.fixture(scope="session")
def released(author: Repository, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The author's repository with a signed release, committed."""
    path = tmp_path_factory.mktemp("released") / "repository"
    shutil.copytree(author.path, path, symlinks=True)
    repository = Repository(path)
    said = repository.run("shiftbench", "release", "1.0", "--sign", str(keys / "key"), "--created", CREATED).stdout
    assert manifest.read(path, "1.0")["root"] in said
    repository.run("git", "add", "releases")
    repository.run("git", "commit", "-qm", "release 1.0")
    return repository


@pytest.fixture
def copy(released: Repository, tmp_path: Path) -> Path:
    """What a release is about, for one test to change; without git."""
    for name in ("releases", "data", "checkpoints", "results", "params.yaml", "requirements.lock"):
        place = released.path / name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, tmp_path / name)
    return tmp_path
