"""A process in which everything is imported already; for each job it forks a child, which is then the command line.

    python -P -m shiftbench.cli.warm_server FD       # FD: a socket, on which `client` asks

Asked is one JSON object a line, `{"id", "argv", "log", "environment", "seconds"}`; answered, when the child has ended,
`{"id", "status", "late"}`: its exit status (minus the signal that ended it), and whether it was past its seconds.

What makes the fork safe: nothing is computed here, so that no pool of threads has started (`settle` checks it by their
names) and CUDA is untouched. A child has a process group of its own and dies with this process; this process ends its
children and then itself when the other end of the socket closes, however that came about.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer.main

PRELOADED = (
    "numpy torch torchvision.transforms.v2 torch._inductor.config polars pyarrow.parquet pyarrow.compute "
    "pyarrow.dataset cv2 PIL.Image scipy.stats sklearn.linear_model numba webdataset safetensors.torch jinja2 "
    "shiftbench.cli shiftbench.stages.fetch shiftbench.stages.shift shiftbench.stages.train "
    "shiftbench.stages.evaluate shiftbench.stages.score shiftbench.stages.aggregate shiftbench.stages.report "
    "shiftbench.stages.samples"
).split()
"""What jobs spend their start on: libraries, the command line, the stages."""

IDLE = ("jemalloc_bg_thd", "polars-ooc-clea")
"""Threads that polars and pyarrow start on import: they free memory, hold no lock that a child needs, and do nothing
before something was computed."""

GRACE = 10.0
"""Seconds between a signal that asks a job to end, and SIGKILL."""

_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


@dataclass(slots=True)
class Child:
    """A job at work: the id under which it was asked for, and when it is ended by which signal."""

    id: int
    deadline: float | None
    late: bool = False


def main(descriptor: int) -> None:
    """Import, serve until the other end closes; in a child, be the command line."""
    preload()
    command = prepare()
    settle()
    warnings.filterwarnings("ignore", message=".*use of fork.*")  # threads are looked at, by name
    if Server(socket.socket(fileno=descriptor)).serve():
        _finish(_be(command))


def _be(command: Callable[[], object]) -> int:
    """Be the command line with the words of sys.argv; returns its exit status."""
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def _finish(status: int) -> NoReturn:
    """End a child as `multiprocessing` ends one that it forked.

    The interpreter's own end would take all modules apart and so copy every page of the server: 0.35 s.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def preload() -> None:
    """Import what jobs need."""
    for name in PRELOADED:
        importlib.import_module(name)


def settle() -> None:
    """Make sure that nothing runs beside, and keep the garbage collector from copying all into every child.

    Raises:
        RuntimeError: a thread runs that a child would miss.
    """
    busy = [name for name in threads() if name not in IDLE]
    if busy:
        raise RuntimeError(
            f"an import started the threads {', '.join(busy)}, which a fork does not copy; "
            "run with `snakemake --executor local`, which starts each job by itself"
        )
    gc.collect()
    gc.freeze()


def prepare() -> Callable[[], None]:
    """Find out what every job would find out for itself: the machine, digests of the code. Returns the command line."""
    from shiftbench import cli
    from shiftbench.provenance import code_digest, environment

    environment.without_gpu()
    for name, module in sorted(sys.modules.items()):
        if name.startswith("shiftbench.") and module.__file__:
            code_digest.digest(Path(module.__file__))
    command = typer.main.get_command(cli.app)
    return lambda: cli.main(command)


def threads() -> list[str]:
    """Return the names of this process's threads, the main one left out."""
    main_thread = str(os.getpid())
    tasks = [task for task in Path("/proc/self/task").glob("*") if task.name != main_thread]
    return sorted((task / "comm").read_text().strip() for task in tasks)


class Server:
    """Forks children and waits for them, in one thread."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.children: dict[int, Child] = {}
        self.asked = b""
        self.stopped = False
        self.woken, waker = os.pipe()
        for end in (self.woken, waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes `select`
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: Snakemake decides
        signal.signal(signal.SIGTERM, self._stop)

    def serve(self) -> bool:
        """Fork what is asked for until the other end closes; then end all. Returns True in a child."""
        while not self.stopped:
            for request in self._wait():
                if self._fork(request):
                    return True
        self._end_all()
        return False

    def _stop(self, *_: object) -> None:
        self.stopped = True

    def _wait(self) -> Iterator[dict[str, Any]]:
        """Yield what is asked for next; answer for children that ended, and end those that are late."""
        deadlines = [child.deadline for child in self.children.values() if child.deadline]
        patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        ready, _, _ = select.select([self.channel.fileno(), self.woken], [], [], patience)
        self._reap()
        self._end_late()
        if self.channel.fileno() in ready:
            data = self.channel.recv(1 << 16)
            self.stopped |= not data
            *whole, self.asked = (self.asked + data).split(b"\n")
            yield from map(json.loads, whole)

    def _fork(self, request: dict[str, Any]) -> bool:
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(request, server)
            return True
        with contextlib.suppress(OSError):  # it may have done so, or be gone
            os.setpgid(pid, pid)
        seconds = request["seconds"]
        self.children[pid] = Child(request["id"], seconds and time.monotonic() + seconds)
        return False

    def _become(self, request: dict[str, Any], server: int) -> None:
        """Turn this process, just forked, into what a shell would have started."""
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != server:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.channel.close()
        os.environ.update(request["environment"])
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        sys.argv = request["argv"]

    def _reap(self) -> None:
        """Answer for all children that have ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.woken, 1 << 12)
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._answer(*found)

    def _answer(self, pid: int, status: int) -> None:
        child = self.children.pop(pid)
        answer = {"id": child.id, "status": os.waitstatus_to_exitcode(status), "late": child.late}
        with contextlib.suppress(OSError):  # who asked is gone
            self.channel.sendall(json.dumps(answer).encode() + b"\n")

    def _end_late(self) -> None:
        """Ask those that are past their time to end, and insist after a while."""
        now = time.monotonic()
        for pid, child in self.children.items():
            if child.deadline and child.deadline <= now:
                _signal(pid, signal.SIGKILL if child.late else signal.SIGTERM)
                child.late, child.deadline = True, now + GRACE

    def _end_all(self) -> None:
        """End all children as Ctrl-C does, and insist after a while."""
        for pid in self.children:
            _signal(pid, signal.SIGINT)
        end = time.monotonic() + GRACE
        while self.children and time.monotonic() < end:
            select.select([self.woken], [], [], 0.1)
            self._reap()
        for pid in self.children:
            _signal(pid, signal.SIGKILL)
        while self.children:
            self._answer(*os.waitpid(-1, 0))


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


if __name__ == "__main__":
    main(int(sys.argv[1]))
