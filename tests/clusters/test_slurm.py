"""The smoke benchmark through a real SLURM: the bytes of a local run, also after jobs were taken away half-way."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from clusters.smoke import SHIFTS, SMOKE, smoke
from makers.repositories import HOME, Repository, checkout
from shiftbench.provenance import locks

pytestmark = [pytest.mark.workflow, pytest.mark.cluster, pytest.mark.needs("slurmctld", "slurmd", "munged")]

ON_SLURM = (
    "--profile=profiles/slurm",
    "--slurm-init-seconds-before-status-checks=3",
    "--slurm-status-command=squeue",  # no accounting here
    "--slurm-no-account",
    "--default-resources=slurm_partition=main",
)
SHARDS = "data/shards/tiny/test/slow_contrast"
RECORDS = "results/records/tiny/convnet-erm-s0/slow/tiny/test"


def jobs() -> list[tuple[str, str]]:
    """Return id and comment, which names rule and wildcards, of the jobs that SLURM knows."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i|%k"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [(number, comment) for number, _, comment in (line.partition("|") for line in lines)]


@pytest.fixture
def cluster(slurm: None, local: Repository, tmp_path: Path) -> Repository:
    """The smoke benchmark, two of whose shards are not made yet."""
    shutil.copytree(local.path, tmp_path / "repository", symlinks=True)
    for folder in SHIFTS:
        shutil.rmtree(tmp_path / "repository" / folder)
    return Repository(tmp_path / "repository")


def test_a_group_of_shifts_is_one_job_and_makes_the_same_bytes(cluster: Repository, local: Repository) -> None:
    known = set(jobs())
    cluster.run("snakemake", *ON_SLURM, "shards", *SMOKE)
    [(_, comment)] = set(jobs()) - known
    assert "shift" in comment
    folders = ("build/smoke/data", "build/smoke/results")
    assert cluster.bytes(*folders) == local.bytes(*folders)


def test_another_executor_submits_by_the_commands_that_it_is_given(
    cluster: Repository, local: Repository, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    status.write_text(STATUS)
    status.chmod(0o755)
    submit = "sbatch --parsable --partition=main --mem={resources.mem_mb}"
    options = (f"--cluster-generic-submit-cmd={submit}", f"--cluster-generic-status-cmd={status}")
    known = set(jobs())
    cluster.run("snakemake", "--executor=cluster-generic", "--jobs=2", *options, "shards", *SMOKE)
    assert len(set(jobs()) - known) == 2
    folders = ("build/smoke/data", "build/smoke/results")
    assert cluster.bytes(*folders) == local.bytes(*folders)


STATUS = """\
#!/bin/sh
case $(squeue --noheader --states=all --format=%T --jobs="$1") in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING) echo running ;;
    *) echo failed ;;
esac
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_smoke_benchmark_has_the_bytes_of_a_local_run(slurm: None, local: Repository, tmp_path: Path) -> None:
    local.make(*SMOKE)
    cluster = smoke(tmp_path / "repository")
    known = len(jobs())
    cluster.run("snakemake", *ON_SLURM, *SMOKE)
    assert len(jobs()) - known == 14, "two of the 15 jobs are one group"
    folders = [f"build/smoke/{name}" for name in ("data", "checkpoints", "results", "recipes")]
    mine, theirs = cluster.bytes(*folders), local.bytes(*folders)
    assert sorted(mine) == sorted(theirs)
    assert [name for name in mine if mine[name] != theirs[name]] == []
    said = cluster.run("snakemake", "-n", *SMOKE)
    assert "Nothing to be done" in said.stdout + said.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_jobs_that_are_taken_away_go_on_where_they_stopped(slurm: None, tmp_path: Path) -> None:
    """Requeued while it writes shards, cancelled and then killed while it evaluates."""
    undisturbed, cluster = (checkout(tmp_path / name) for name in ("undisturbed", "cluster"))
    for repository in (undisturbed, cluster):
        shutil.copy(HOME / "tests/workflow/slow.yaml", repository.path / "params.yaml")
    undisturbed.make("records")
    run = cluster.start("snakemake", *ON_SLURM, "records")

    def reached(folder: str, count: int) -> set[tuple[Path, int]]:
        """Wait until a number of receipts is there; return them with the inode of each."""
        end = time.monotonic() + 300
        while True:
            there = list((cluster.path / folder).rglob("*.receipt.json"))
            if len(there) >= count:
                return {(file, file.stat().st_ino) for file in there}
            assert run.poll() is None, f"ended too early; see {cluster.path}.log"
            assert time.monotonic() < end, f"nothing happens; see {cluster.path}.log"
            time.sleep(0.01)

    def job(name: str) -> str:
        """Return the newest job whose rule or wildcards are called so."""
        return max((number for number, comment in jobs() if name in comment), key=int)

    kept = reached(SHARDS, 1)
    subprocess.run(["scontrol", "requeue", job("slow_contrast")], check=True)
    kept |= reached(RECORDS, 1)
    subprocess.run(["scancel", job("evaluate")], check=True)
    kept |= reached(RECORDS, 2)
    os.kill(holder(cluster, "evaluate"), signal.SIGKILL)
    kept |= reached(RECORDS, 4)
    assert run.wait(timeout=300) == 0

    assert reached(SHARDS, 3) | reached(RECORDS, 4) >= kept, "what was whole is not made again"
    folders = ("data", "checkpoints", "results")
    assert cluster.bytes(*folders) == undisturbed.bytes(*folders)
    left = [lock for lock in locks.find(cluster.path, cluster.path) if lock.what == "scratch"]
    assert left == []


def holder(repository: Repository, verb: str) -> int:
    """Return the process of a verb at work."""
    while True:
        for lock in locks.find(repository.path, repository.path):
            if lock.state == "held" and Path(lock.path).name.startswith(verb) and lock.pid:
                return lock.pid
        time.sleep(0.01)
