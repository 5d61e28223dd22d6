"""Kill -9 of a whole run, in shard writing and in evaluation; what the next run leaves is as if nothing had been."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repository import HOME, Repository, checkout

pytestmark = pytest.mark.workflow

SHARDS = "data/shards/tiny/test/slow_contrast"
RECORDS = "results/records/tiny/convnet-erm-s0/slow/tiny/test"


def slow(path: Path) -> Repository:
    """Check out with the params of a campaign that pauses."""
    repository = checkout(path)
    shutil.copy(HOME / "tests/workflow/slow.yaml", path / "params.yaml")
    return repository


def kill_when(repository: Repository, reached: Callable[[], bool], *targets: str) -> None:
    """Start a run and kill -9 all of its processes as soon as a point is reached."""
    run = repository.start("snakemake", "--cores", "2", *targets)
    while not reached():
        assert run.poll() is None, f"ended too early; see {repository.path}.log"
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def receipts(folder: Path) -> dict[Path, int]:
    """Return the receipts below a folder with the inode of each: another one was written anew."""
    return {file: file.stat().st_ino for file in folder.rglob("*.receipt.json")}


def test_what_is_left_after_kills_is_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    repository = slow(tmp_path / "repository")
    shards, records = repository.path / SHARDS, repository.path / RECORDS

    kill_when(
        repository, lambda: bool(receipts(shards)) and any(shards.glob("*/.part-*")), "shards"
    )
    whole = receipts(shards)
    assert 1 <= len(whole) < 3

    kill_when(repository, lambda: bool(receipts(records)), "records")
    assert receipts(shards).items() >= whole.items(), "what was whole is kept"
    assert len(receipts(shards)) == 3
    half = receipts(records)
    assert 1 <= len(half) < 4

    repository.make("records")
    assert receipts(records).items() >= half.items()
    after_kills = repository.bytes(SHARDS, RECORDS)
    shutil.rmtree(shards)
    shutil.rmtree(records)
    repository.make("records")
    assert len(receipts(shards)) == 3
    assert len(receipts(records)) == 4
    assert repository.bytes(SHARDS, RECORDS) == after_kills
