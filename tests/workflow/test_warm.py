"""Runs of Snakemake whose jobs start warm: the bytes of cold ones, and as easily ended."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from makers.repositories import HOME, Repository, checkout
from shiftbench.provenance import locks

pytestmark = pytest.mark.workflow

# What a run says once, beside a line for each job.
KINDS = (
    "Using workflow specific profile profiles/default for .*",
    "host: .+",  # Snakemake 9.18.1 says it
    r"\d+ jobs: shift 4, .*",
    r"starting workers \(importing torch\)",
    "workers started in .+, once for all jobs",
    r"\d+ of \d+ jobs made in .+",
    r"Slow: .*\.",
    "report: file:///.*/results/report/index.html",
    "next: `shiftbench audit`",
    r"Complete log\(s\): \S+\.snakemake\.log",
)

OUTPUTS = ("data", "checkpoints", "results", "logs")


def slow(path: Path) -> Repository:
    """Check out with the params of a benchmark that pauses."""
    repository = checkout(path)
    shutil.copy(HOME / "tests/workflow/slow.yaml", path / "params.yaml")
    return repository


def processes(folder: Path) -> list[str]:
    """Return the command lines of the processes that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it is gone, or a zombie
            continue
    return found


def wait(repository: Repository, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 200
    while not reached():
        assert time.monotonic() < end, f"see {repository.path}.log"
        time.sleep(0.02)


def held(repository: Repository, verb: str) -> list[locks.Lock]:
    """Return the locks that jobs of a stage hold now."""
    found = locks.find(repository.path)
    return [lock for lock in found if f"locks/{verb}" in lock.path and lock.state == "held"]


def test_warm_jobs_make_the_bytes_of_cold_ones_and_a_line_each(tmp_path: Path) -> None:
    """The logs, too. Nothing is left behind."""
    warm = slow(tmp_path / "warm")
    said = warm.make().stderr
    assert processes(warm.path) == []
    ended = re.findall(r"^\[ *\d+/(\d+)\] +[\d.]+ s  \w+ \S+(?:: .+)?$", said, re.MULTILINE)
    assert ended == [str(len(ended))] * len(ended)
    assert len(ended) == 10
    others = [line for line in said.splitlines() if not line.startswith("[")]
    kinds = [kind for line in others for kind in KINDS if re.fullmatch(kind, line)]
    assert len(kinds) == len(others), others
    assert sorted(kinds) == sorted(set(kinds))
    cold = slow(tmp_path / "cold")
    cold.make("--no-hooks")  # one of them starts the server
    mine, theirs = warm.bytes(*OUTPUTS), cold.bytes(*OUTPUTS)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_a_killed_job_is_named_and_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    repository = slow(tmp_path / "repository")
    log = Path(f"{repository.path}.log")
    run = repository.start("snakemake", "--cores", "2", "records")
    wait(repository, lambda: bool(held(repository, "evaluate")))
    [lock] = held(repository, "evaluate")
    os.kill(lock.pid or 0, signal.SIGKILL)
    assert run.wait(timeout=100) == 1
    said = log.read_text()
    assert re.search(r"failed: evaluate \S+ - killed \(SIGKILL\): the machine .*\n  log: logs/evaluate/\S+\n", said)
    assert processes(repository.path) == []

    run = repository.start("snakemake", "--cores", "2", "records")
    wait(repository, lambda: bool(held(repository, "evaluate")))
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(timeout=100) != 0
    assert processes(repository.path) == []
    assert [lock for lock in locks.find(repository.path) if lock.what == "lock"] == []

    repository.make("records")
    assert repository.planned() >= {"aggregate/slow"}
