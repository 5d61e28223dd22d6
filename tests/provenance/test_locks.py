"""Locks and scratch files: who holds them, what a kill leaves, what may be cleared."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shiftbench.provenance import locks

HOST = socket.gethostname()
AT_WORK = """
import sys, time
from pathlib import Path
from shiftbench.base import files
from shiftbench.provenance import locks
root = Path(sys.argv[1])
with locks.hold(root / "logs/locks/shift-a"), files.scratch(root / "data/a.json") as file, \\
        files.scratch_folder(root / "data/b.json"):
    file.write_text("half")
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def worker(root: Path):
    """A process that holds a lock and two scratch files."""
    with subprocess.Popen([sys.executable, "-c", AT_WORK, str(root)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"at work\n"
        yield process
        process.kill()


def gone() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_is_at_work_is_held_and_left_alone(root: Path, worker: subprocess.Popen) -> None:
    found = locks.find(root, root)
    assert [(lock.what, lock.host, lock.pid, lock.state) for lock in found] == [
        ("scratch", HOST, worker.pid, "held"),
        ("scratch", HOST, worker.pid, "held"),
        ("lock", HOST, worker.pid, "held"),
    ]
    assert locks.clear(root, root) == []
    assert locks.find(root, root) == found


def test_what_a_kill_leaves_is_found_with_host_and_process_and_cleared(root: Path, worker: subprocess.Popen) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    found = locks.find(root, root)
    assert [(lock.host, lock.pid, lock.state) for lock in found] == [(HOST, worker.pid, "left")] * 3
    assert f"process {worker.pid} on {HOST}" in str(found[0])
    assert locks.clear(root, root) == found
    assert locks.find(root, root) == []
    assert list((root / "data").iterdir()) == []


def test_a_lock_is_free_after_work_and_after_an_error(root: Path) -> None:
    lock = root / "logs/locks/train-a"
    with locks.hold(lock):
        assert lock.read_text() == f"{os.getpid()}@{HOST}\n"
    with pytest.raises(ZeroDivisionError), locks.hold(lock):
        _ = 1 / 0
    assert lock.read_text() == ""
    assert locks.find(root, root) == []


def test_another_host_is_never_touched(root: Path) -> None:
    (root / "logs/locks").mkdir(parents=True)
    (root / "logs/locks/shift-a").write_text(f"{gone()}@node-7.cluster\n")
    (root / f"data/.a.json.{gone()}@node-7.cluster.part").touch()
    (root / f"data/.part-{gone()}@node-7.cluster-x_1").mkdir()
    found = locks.find(root, root)
    assert [(lock.host, lock.state) for lock in found] == [("node-7.cluster", "elsewhere")] * 3
    assert locks.clear(root, root) == []
    assert locks.find(root, root) == found


def dvc_lock(root: Path, *pids: int) -> Path:
    file = root / ".dvc/tmp/rwlock"
    file.parent.mkdir(parents=True)
    read = {f"/{pid}": [{"pid": pid, "cmd": "dvc repro"}] for pid in pids}
    file.write_text(json.dumps({"write": {}, "read": read}))
    return file


def test_dvc_and_snakemake_count_as_this_hosts_on_its_own_disk(root: Path) -> None:
    file = dvc_lock(root, gone())
    (file.parent / "lock").write_text(f" {gone()}\n")
    snakemake = root / ".snakemake/locks/0.output.lock"
    snakemake.parent.mkdir(parents=True)
    snakemake.touch()
    assert [lock.state for lock in locks.find(root, root)] == ["left"] * 3
    assert len(locks.clear(root, root)) == 3
    assert locks.find(root, root) == []


def test_dvc_and_snakemake_tell_nothing_on_a_shared_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dvc_lock(root, gone())
    monkeypatch.setattr(locks, "_shared", lambda _: True)
    assert [lock.state for lock in locks.find(root, root)] == ["elsewhere"]
    assert locks.clear(root, root) == []


def test_a_lock_of_two_goes_when_both_are_gone(root: Path) -> None:
    file = dvc_lock(root, gone(), os.getpid())
    assert sorted(lock.state for lock in locks.find(root, root)) == ["held", "left"]
    assert locks.clear(root, root) == []
    assert file.is_file()
