"""Locks and scratch files: their processes, and the remains of killed processes.

A verb holds an flock, which the kernel releases when the process ends, on every host that shares the folder. The lock
file contains host and process during the work, and the names of scratch files contain both. This separates remains from
files in use, also on a cluster. The locks of DVC and Snakemake contain less, so they count as this host's only if the
folder is on a disk of this host.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shiftbench.base import files
from shiftbench.provenance import trust

State = Literal["left", "held", "elsewhere"]

_OUTS = ("data", "checkpoints", "results", "recipes")
_SIGNED = re.compile(r"(?P<pid>[0-9]{1,10})@(?P<host>\S+)")
_SHARED = re.compile(r"nfs|cifs|smb|lustre|gpfs|beegfs|ceph|gluster|9p|virtiofs|afs|fuse\.")
_ADVICE = {
    "left": "its process is gone; `shiftbench doctor --unlock` clears it",
    "held": "its process is at work",
    "elsewhere": "its process is on another host, or it does not say which; look there",
}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock or a scratch file.

    `host` and `pid` are None if the file does not contain them. `state` is `left` if the process ran on this host and
    has ended, `held` if it runs, `elsewhere` if this host cannot know.
    """

    path: str
    what: str
    host: str | None
    pid: int | None
    state: State

    def __str__(self) -> str:
        """One line, with advice."""
        process = f"process {self.pid or '?'} on {self.host or 'an unnamed host'}"
        return f"{self.what} {self.path} of {process}: {_ADVICE[self.state]}"


@contextlib.contextmanager
def hold(file: Path) -> Iterator[None]:
    """Hold a lock that the kernel releases when the process ends; its file contains host and process meanwhile.

    Raises:
        DataError: the folder cannot be written.
    """
    with files.writable(file):
        lock = file.open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"{os.getpid()}@{socket.gethostname()}\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def find(root: Path, benchmark: Path = Path()) -> list[Lock]:
    """The locks that are held or were left, and all scratch files, sorted by path.

    Args:
        root: the output root of params.
        benchmark: the repository, where `.dvc` and `.snakemake` are.
    """
    locks = [*_verbs(root), *_scratch(root), *_dvc(benchmark), *_snakemake(benchmark)]
    return sorted(locks, key=lambda lock: (lock.path, lock.pid or 0))


def clear(root: Path, benchmark: Path = Path()) -> list[Lock]:
    """Remove the remains of ended processes of this host; locks in use and locks of other hosts stay.

    Returns:
        The removed locks. A file of several processes is removed when all of them have ended.

    Raises:
        UntrustedError: links of a checkout that is not trusted lead elsewhere.
        DataError: a folder cannot be written.
    """
    trust.refuse_links(*(root / out for out in (*_OUTS, "logs")), home=benchmark)
    trust.refuse_links(".dvc/tmp", ".snakemake", home=benchmark)
    locks = find(root, benchmark)
    used_paths = {lock.path for lock in locks if lock.state != "left"}
    removed = [lock for lock in locks if lock.path not in used_paths]
    for path in {lock.path: Path(lock.path) for lock in removed}.values():
        with files.writable(path):
            if path.parent.name == "locks" and path.parent.parent.name == "logs":
                _wipe(path)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return removed


def _wipe(file: Path) -> None:
    """Empty a verb's lock file; after an unlink, two processes could hold it, each by its own inode."""
    with file.open("a") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)


# --------------------------------------------------------------------------------- search


def _verbs(root: Path) -> Iterator[Lock]:
    """Yield the locks of verbs; they name a process during the work and are empty afterwards."""
    for file in (root / "logs" / "locks").glob("*"):
        pid, host = _signature(_text(file))
        if pid is not None:
            state: State = "left" if host == socket.gethostname() else "elsewhere"
            yield Lock(str(file), "lock", host, pid, "held" if _is_flocked(file) else state)


def _scratch(root: Path) -> Iterator[Lock]:
    """Yield scratch files and folders next to outputs."""
    for out in _OUTS:
        for path in (root / out).rglob(".*"):
            if path.name.endswith(".part") or path.name.startswith(".part-"):
                name = path.name.removesuffix(".part")
                signed = name.rpartition("-")[0] if name.startswith(".part-") else name
                pid, host = _signature(signed)
                yield Lock(str(path), "scratch", host, pid, _state(path, pid, host))


def _dvc(benchmark: Path) -> Iterator[Lock]:
    """Yield DVC's locks: of the repository, which the kernel releases, and of outputs, which name processes."""
    folder = benchmark / ".dvc" / "tmp"
    lock = folder / "lock"
    if lock.is_file() and (words := _text(lock).split()):
        pid = int(words[0]) if re.fullmatch("[0-9]{1,10}", words[0]) else None
        state: State = "held" if _is_flocked(lock) else _state(lock, pid, None)
        yield Lock(str(lock), "DVC's lock", None, pid, state)
    rwlock = folder / "rwlock"
    with contextlib.suppress(OSError, ValueError):
        content = json.dumps(files.from_json(rwlock.read_bytes()))
        for pid in sorted({int(number) for number in re.findall(r'"pid": (\d+)', content)}):
            yield Lock(str(rwlock), "DVC's lock of outputs", None, pid, _state(rwlock, pid, None))


def _snakemake(benchmark: Path) -> Iterator[Lock]:
    """Yield Snakemake's locks, of runs without our profiles; they name nobody."""
    for file in (benchmark / ".snakemake" / "locks").glob("*.lock"):
        state: State = "elsewhere" if _shared(file) else "left"
        if state == "left" and _snakemake_runs_in(benchmark):
            state = "held"
        yield Lock(str(file), "Snakemake's lock", None, None, state)


# ---------------------------------------------------------------------------- whose it is


def _signature(text: str) -> tuple[int | None, str | None]:
    """Process and host of `PID@HOST` in a lock or a scratch file's name."""
    match = _SIGNED.search(text)
    return (int(match["pid"]), match["host"]) if match else (None, None)


def _text(file: Path) -> str:
    """Text of a lock, whatever its bytes; empty if it cannot be read."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _state(path: Path, pid: int | None, host: str | None) -> State:
    if host not in (None, socket.gethostname()) or (host is None and _shared(path)):
        return "elsewhere"
    if pid is None:
        return "elsewhere"
    return "held" if Path(f"/proc/{pid}").exists() else "left"


def _is_flocked(file: Path) -> bool:
    with file.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _shared(path: Path) -> bool:
    """Whether other hosts may see a file, by the kind of its file system."""
    place = str(path.resolve())
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    mounts_above = [(len(m[1]), m[2]) for m in mounts if f"{place}/".startswith(f"{m[1].rstrip('/')}/")]
    return bool(_SHARED.search(max(mounts_above)[1])) if mounts_above else True


def _snakemake_runs_in(benchmark: Path) -> bool:
    """Whether a process of this host runs Snakemake in this folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_here = (process / "cwd").resolve() == benchmark.resolve()
            if is_here and b"snakemake" in (process / "cmdline").read_bytes():
                return True
    return False
