"""The smoke benchmark, and a SLURM of one node: its daemons on loopback, in a folder and on ports of their own."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from clusters.smoke import SMOKE, smoke
from makers.repositories import Repository


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The shards of the smoke benchmark, made without a cluster."""
    repository = smoke(tmp_path_factory.mktemp("local") / "repository")
    repository.make("shards", *SMOKE)
    return repository


CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=86400
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
"""The node claims more than CI has; nothing holds jobs to what they ask for. No job is forgotten while tests count."""

SRUN = '#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n'
"""The executor drops SLURM's variables, also where its configuration lies, before it calls srun."""


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """Commands such as squeue, and Snakemake's executor, talk to a SLURM that lives as long as the tests."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a socket's path must be short
    folder.chmod(0o711)  # munge wants its socket within reach of all
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        _configure(folder)
        environment.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        environment.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        munge = {name: f"{folder}/munge.{name}" for name in ("socket", "pid-file", "seed-file")}
        options = [f"--{name}={path}" for name, path in munge.items()]
        key = f"--key-file={folder}/munge.key"
        stack.enter_context(_service(folder, "munged", "--foreground", key, *options))
        _wait((folder / "munge.socket").exists, folder)
        stack.enter_context(_service(folder, "slurmctld", "-D"))
        stack.enter_context(_service(folder, "slurmd", "-D"))
        _wait(lambda: "idle" in _said("sinfo", "-h", "-o", "%T"), folder)
        stack.callback(_said, "scancel", "--partition=main")
        yield


def _configure(folder: Path) -> None:
    controller, node = _free_ports(2)
    (folder / "slurm.conf").write_text(
        CONFIG.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            controller=controller,
            node=node,
        )
    )
    (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    srun = folder / "bin" / "srun"
    srun.write_text(SRUN.format(folder=folder, srun=shutil.which("srun")))
    srun.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)


@contextmanager
def _service(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(ready, folder: Path) -> None:
    end = time.monotonic() + 30
    while not ready():
        if time.monotonic() > end:
            said = "\n".join(f.read_text()[-2000:] for f in folder.glob("*.out"))
            raise AssertionError(f"SLURM did not start:\n{said}")
        time.sleep(0.1)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
