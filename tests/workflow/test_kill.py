"""Kill -9 of a whole run, in shard writing and in evaluation; what the next run leaves is as if nothing had been."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from makers.repositories import HOME, Repository, checkout
from shiftbench.base import files
from shiftbench.provenance import locks

pytestmark = pytest.mark.workflow

SHARDS = "data/shards/tiny/test/slow_contrast"
RECORDS = "results/records/tiny/convnet-erm-s0/slow/tiny/test"


def slow(path: Path) -> Repository:
    """Check out with the params of a benchmark that pauses."""
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


def made_again(before: dict[Path, bytes]) -> list[Path]:
    """Return which files have other bytes by now; one may be away for a moment."""
    now = {file: file.read_bytes() for file in before if file.is_file()}
    return [file for file, content in now.items() if content != before[file]]


def test_a_job_that_dies_half_way_keeps_what_it_made(tmp_path: Path) -> None:
    """Snakemake keeps copies of such outputs and puts them back: old bytes, under new receipts."""
    repository = slow(tmp_path / "repository")
    repository.make("records")
    records = repository.path / RECORDS
    before = {file: file.read_bytes() for file in records.rglob("*.receipt.json")}
    repository.edit("params.yaml", "seed: 0", "seed: 1")
    run = repository.start("snakemake", "--cores", "2", "records")
    while not made_again(before):
        assert run.poll() is None, f"ended too early; see {repository.path}.log"
        time.sleep(0.01)
    [verb] = [lock for lock in locks.find(repository.path) if lock.what == "lock" and "evaluate" in lock.path]
    os.kill(verb.pid or 0, signal.SIGKILL)
    assert run.wait() == 1

    made = made_again(before)
    assert 1 <= len(made) < 4
    for receipt in made:
        for name, digest in json.loads(receipt.read_text())["made"].items():
            assert files.sha256(receipt.parent / name) == digest, name


def test_what_is_left_after_kills_is_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    repository = slow(tmp_path / "repository")
    shards, records = repository.path / SHARDS, repository.path / RECORDS

    kill_when(repository, lambda: bool(receipts(shards)) and any(shards.glob("*/.part-*")), "shards")
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
