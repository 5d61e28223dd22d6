"""A process in which everything is imported already; it forks children, which are the command line, a job at a time.

    python -P -m shiftbench.cli.warm_server FD       # FD: a socket, on which `client` asks

Asked is one JSON object a line, `{"id", "argv", "log", "environment", "seconds"}`; answered, when the job has ended,
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
import itertools
import json
import os
import select
import signal
import socket
import sys
import tempfile
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

GRACE = 3.0
"""Seconds between a signal that asks a job to end, and SIGKILL: after a kill of Snakemake nothing stays for longer."""

_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


JOBS = 50
"""Jobs that a child does before another takes its place."""

GROWN = 1 << 29
"""Bytes that a child may hold beyond those that it began with before another takes its place."""


@dataclass(slots=True)
class Child:
    """A process for jobs.

    Attributes:
        channel: the next job is sent there, and a byte comes back when it was done; a child that fails ends.
        id: under which its job was asked for; None while it waits for one.
        deadline: when the job is ended, on the clock `time.monotonic`, or None.
        late: whether it was asked to end, its time being over.
    """

    channel: socket.socket
    id: int | None
    deadline: float | None
    late: bool = False


def main(descriptor: int) -> None:
    """Import, serve until the other end closes; in a child, be the command line, once for each job that is sent."""
    end_with_parent(descriptor)
    preload()
    command = prepare()
    settle()
    warnings.filterwarnings("ignore", message=".*use of fork.*")  # threads are looked at, by name
    worker = Server(socket.socket(fileno=descriptor)).serve()
    if worker:
        _finish(worker.work(command))


def end_with_parent(descriptor: int) -> None:
    """Have the kernel send SIGTERM when the thread that started this process ends; end now if that has happened.

    While libraries are imported nobody reads the socket, and the imports take seconds. Until `Server` sets its own
    handler the signal ends this process at once, later it ends the jobs too.
    """
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    looked_at = select.poll()
    looked_at.register(descriptor, select.POLLRDHUP)
    if looked_at.poll(0):
        sys.exit("the process that asks for jobs is gone")


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


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
    """Forks children, gives them jobs and waits for them, in one thread.

    A child that has done a job gets the next one: what it has imported, compiled and looked up is there already.
    """

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

    def serve(self) -> Worker | None:
        """Have done what is asked for until the other end closes; then end all. Returns what a child is, in a child."""
        while not self.stopped:
            for request in self._wait():
                worker = self._give(request)
                if worker:
                    return worker
        self._end_all()
        return None

    def _stop(self, *_: object) -> None:
        self.stopped = True

    def _wait(self) -> Iterator[dict[str, Any]]:
        """Yield what is asked for next; answer for jobs that ended, and end those that are late."""
        deadlines = [child.deadline for child in self.children.values() if child.deadline]
        patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        working = [child.channel for child in self.children.values() if child.id is not None]
        looked_at: list[int | socket.socket] = [self.channel, self.woken, *working]
        ready, _, _ = select.select(looked_at, [], [], patience)
        self._note_done()
        self._reap()
        self._end_late()
        if self.channel in ready:
            data = self.channel.recv(1 << 16)
            self.stopped |= not data
            *whole, self.asked = (self.asked + data).split(b"\n")
            yield from map(json.loads, whole)

    def _give(self, request: dict[str, Any]) -> Worker | None:
        """Give a job to a child that waits for one, or to a new one; returns what that is, there."""
        seconds = request["seconds"]
        deadline = seconds and time.monotonic() + seconds
        for child in self.children.values():
            if child.id is None and not child.late and _sent(child.channel, request):
                child.id, child.deadline = request["id"], deadline
                return None
        server, (ours, theirs) = os.getpid(), socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._forget(ours)
            return Worker(theirs, request, server)
        theirs.close()
        with contextlib.suppress(OSError):  # it may have done so, or be gone
            os.setpgid(pid, pid)
        self.children[pid] = Child(ours, request["id"], deadline)
        return None

    def _forget(self, ours: socket.socket) -> None:
        """Close what a child has of its server."""
        signal.set_wakeup_fd(-1)
        for channel in (self.channel, ours, *(child.channel for child in self.children.values())):
            channel.close()

    def _note_done(self) -> None:
        """Answer for all jobs that their children say are done."""
        for child in self.children.values():
            with contextlib.suppress(BlockingIOError, ConnectionError):
                if child.id is not None and child.channel.recv(1, socket.MSG_DONTWAIT):
                    self._answer(child, 0)

    def _reap(self) -> None:
        """Answer for the jobs of all children that have ended."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.woken, 1 << 12)
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._bury(*found)

    def _bury(self, pid: int, status: int) -> None:
        child = self.children.pop(pid)
        child.channel.close()
        if child.id is not None:
            self._answer(child, os.waitstatus_to_exitcode(status))

    def _answer(self, child: Child, status: int) -> None:
        answer = {"id": child.id, "status": status, "late": child.late}
        child.id = child.deadline = None
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
        """End all children as Ctrl-C does, those that wait for a job by closing, and insist after a while."""
        for pid, child in self.children.items():
            with contextlib.suppress(OSError):
                child.channel.shutdown(socket.SHUT_WR)
            if child.id is not None:
                _signal(pid, signal.SIGINT)
        end = time.monotonic() + GRACE
        while self.children and time.monotonic() < end:
            select.select([self.woken], [], [], 0.1)
            self._reap()
        for pid in self.children:
            _signal(pid, signal.SIGKILL)
        while self.children:
            self._bury(*os.waitpid(-1, 0))


class Worker:
    """A child of the server: one job after another, each as a shell would have started it."""

    def __init__(self, channel: socket.socket, request: dict[str, Any], server: int) -> None:
        self.channel = channel
        self.request = request
        self.environment = dict(os.environ)
        self.folder = Path.cwd()
        self.settings = _settings()
        self.held = _held()
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)

    def work(self, command: Callable[[], object]) -> int:
        """Do the first job, and others as long as they succeed; returns the last one's exit status."""
        for done in itertools.count(1):
            self._dress()
            with warnings.catch_warnings():  # each is told in the log of each job
                status = _be(command)
            if status or done == JOBS or self._is_worn() or not self._next():
                return status
        raise AssertionError

    def _is_worn(self) -> bool:
        """Whether this process holds what it only gives back at its end: memory, or a GPU."""
        torch = sys.modules.get("torch")
        on_gpu = torch is not None and torch.cuda.is_initialized()
        return on_gpu or _held() - self.held > GROWN

    def _dress(self) -> None:
        """Be what a shell would have started: the words, streams, variables, folder, signals and settings."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.chdir(self.folder)
        if os.environ != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        os.environ.update(self.request["environment"])
        tempfile.tempdir = None
        _set(self.settings)
        log = os.open(self.request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)
        sys.argv = self.request["argv"]

    def _next(self) -> bool:
        """Tell that the job is done and wait for the next one; False where none comes."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        try:
            self.channel.sendall(b".")
            said = b""
            while not said.endswith(b"\n"):
                said += (more := self.channel.recv(1 << 16))
                if not more:
                    return False
        except (KeyboardInterrupt, OSError):
            return False
        self.request = json.loads(said)
        return True


def _sent(channel: socket.socket, request: dict[str, Any]) -> bool:
    """Send a job; False where the child is gone."""
    try:
        channel.sendall(json.dumps(request).encode() + b"\n")
    except OSError:
        return False
    return True


def _held() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _settings() -> tuple[Any, Any, Any]:
    """Return what libraries hold for the whole process, which a job finds as in a process of its own.

    Returns:
        The state of numpy's global generator, that of torch's, and torch's number of threads.
    """
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    drawn = torch and torch.random.get_rng_state()
    return numpy and numpy.random.get_state(), drawn, torch and torch.get_num_threads()


def _set(settings: tuple[Any, Any, Any]) -> None:
    of_numpy, of_torch, threads = settings
    if of_numpy is not None:
        sys.modules["numpy"].random.set_state(of_numpy)
    if of_torch is not None:
        sys.modules["torch"].random.set_rng_state(of_torch)
        sys.modules["torch"].set_num_threads(threads)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


if __name__ == "__main__":
    main(int(sys.argv[1]))
