"""The warm server, a process that has imported everything and forks the jobs of a run.

    python -P -m shiftbench.cli.warm_server FD       # FD: the socket for requests

The client (`workflow/engine/client.py`) sends the words, folder, variables and streams of a command, and passes signals
on. It receives the number of the job's process, then the exit status. A job is a group of processes. The group ends
when the job ends, when the client is gone, and when this process ends. If this process is killed, the client ends it.

The fork is safe because nothing is computed here: no pool of threads has started (`settle` checks their names), and
CUDA is not initialised. If a library starts threads, this process ends, and jobs start without it.
"""

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import math
import os
import select
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import typer.main

from shiftbench.base.registry import PACKAGE
from shiftbench.workflow.engine.client import PASSED_ON, STAGES
from shiftbench.workflow.engine.warm import IMPORTING, READY

_STAGES = "fetch shift train evaluate score aggregate report samples verbs"
PRELOADED = (
    *"numpy torch torchvision.transforms.v2 torch._inductor.config polars pyarrow.parquet pyarrow.compute".split(),
    *"pyarrow.dataset cv2 PIL.Image scipy.stats sklearn.linear_model numba webdataset safetensors.torch jinja2".split(),
    *"shiftbench.cli shiftbench.workflow.engine.memory shiftbench.data.dataset_card".split(),
    *(f"shiftbench.workflow.stages.{name}" for name in _STAGES.split()),
)
"""Imports that jobs need: libraries, the command line, the stages."""

IDLE = ("jemalloc_bg_thd", "polars-ooc-clea")
"""Threads that polars and pyarrow start on import: they free memory, hold no lock that a child needs, and do nothing
before something was computed."""

GRACE = 3.0
"""Seconds between a signal that asks a job to end, and SIGKILL: after a kill of Snakemake nothing stays for longer."""

_PARENT_DEATH_SIGNAL = 1  # of prctl(2)


def main(descriptor: int) -> None:
    """Serve until the process that started this one ends; imports begin with the first job."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: Snakemake decides
    end_with_parent(signal.SIGTERM)
    with socket.socket(fileno=descriptor) as listener:
        folder = Path(listener.getsockname()).parent
        try:
            select.select([listener], [], [])
            (folder / IMPORTING).touch()
            gc.disable()  # repeated collections take a quarter of the time of the imports
            preload()
            command = prepare()
            settle()
            gc.collect()  # else a job would soon collect, which copies all objects
            gc.enable()
            warnings.filterwarnings("ignore", message=".*use of fork.*")  # `settle` has checked the threads
            (folder / READY).touch()
            Server(listener, command).serve()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(eq=False)
class Job:
    """A job that runs.

    Attributes:
        pid: the process, which leads a group of its own.
        client: the connection to the client.
        end_descriptor: a descriptor that can be read when the process has ended (pidfd_open(2)).
        kill_time: the time at which the group is killed, in seconds of `time.monotonic`.
    """

    pid: int
    client: socket.socket
    end_descriptor: int
    kill_time: float = math.inf

    def signal(self, number: int) -> None:
        """Send a signal to all processes of the job."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Server:
    """Forks a job for each connection, and waits for its end."""

    def __init__(self, listener: socket.socket, command: Callable[[], object]) -> None:
        listener.setblocking(False)
        self._listener, self._command = listener, command
        self._end_receiver, self._end_sender = socket.socketpair()
        self._end_sender.setblocking(False)
        self._jobs: set[Job] = set()
        self._ready = selectors.DefaultSelector()
        self._ready.register(listener, selectors.EVENT_READ, self._start)
        self._ready.register(self._end_receiver, selectors.EVENT_READ)

    def serve(self) -> None:
        """Serve until SIGTERM."""
        signal.set_wakeup_fd(self._end_sender.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            while True:
                for key, _ in self._ready.select(self._timeout()):
                    if key.fileobj is self._end_receiver:
                        return
                    key.data()
                for job in self._jobs:
                    if job.kill_time <= time.monotonic():
                        job.signal(signal.SIGKILL)
        finally:
            self._end_all()

    def _timeout(self) -> float | None:
        """Return the seconds until a job has to be killed."""
        first = min((job.kill_time for job in self._jobs), default=math.inf)
        return None if first == math.inf else max(0.0, first - time.monotonic())

    def _start(self) -> None:
        """Start the requested job; close the connection of a client with another package."""
        client: socket.socket | None = None
        streams: list[int] = []
        try:
            client, _ = self._listener.accept()
            client.settimeout(GRACE)
            request = _receive_request(client, streams)
            if request["package"] == str(PACKAGE):
                self._fork(client, request, streams)
        except (OSError, ValueError):  # the command starts cold
            if client:
                client.close()
        for stream in streams:
            os.close(stream)

    def _fork(self, client: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
        server = os.getpid()
        # Signals are blocked, so that none is lost before the child has its own handlers, or reaches those of this one.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
        try:
            pid = os.fork()
            if not pid:

                def be_the_job() -> None:
                    self._close()
                    client.close()
                    _become(request, streams, server)
                    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                    self._command()

                _finish(_status(be_the_job))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        with contextlib.suppress(OSError):  # it may have done so, or be gone
            os.setpgid(pid, pid)
        job = Job(pid, client, os.pidfd_open(pid))
        self._jobs.add(job)
        self._ready.register(job.end_descriptor, selectors.EVENT_READ, partial(self._finished, job))
        self._ready.register(client, selectors.EVENT_READ, partial(self._pass_signals, job))
        with contextlib.suppress(OSError):  # the client is gone; `_pass_signals` will notice it
            client.sendall(pid.to_bytes(4, "big"))

    def _pass_signals(self, job: Job) -> None:
        """Pass signals on; end the job if its client is gone."""
        if job not in self._jobs:  # it ended in the same moment
            return
        try:
            numbers = job.client.recv(64)
        except OSError:
            numbers = b""
        for number in numbers:
            job.signal(number)
        if not numbers:
            self._ready.unregister(job.client)
            self._interrupt(job)

    def _interrupt(self, job: Job) -> None:
        """End a job as Ctrl-C does, and kill it after a while."""
        job.signal(signal.SIGINT)
        job.kill_time = time.monotonic() + GRACE

    def _finished(self, job: Job) -> None:
        """Send the exit status of a job, after all of its processes have ended."""
        job.signal(signal.SIGKILL)
        _, status = os.waitpid(job.pid, 0)
        with contextlib.suppress(OSError):
            job.client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
        self._jobs.remove(job)
        self._ready.unregister(job.end_descriptor)
        os.close(job.end_descriptor)
        with contextlib.suppress(KeyError):  # it was gone before
            self._ready.unregister(job.client)
        job.client.close()

    def _end_all(self) -> None:
        """End all jobs; those that do not end by themselves are killed after a while."""
        for source in (self._listener, self._end_receiver):
            self._ready.unregister(source)
        for job in self._jobs:
            self._interrupt(job)
        while self._jobs and (ready := self._ready.select(self._timeout())):
            for key, _ in ready:
                key.data()
        for job in tuple(self._jobs):
            self._finished(job)

    def _close(self) -> None:
        """Close the descriptors of this process in a child."""
        signal.set_wakeup_fd(-1)
        for job in self._jobs:
            os.close(job.end_descriptor)
            job.client.close()
        for resource in (self._listener, self._end_receiver, self._end_sender, self._ready):
            resource.close()


def _receive_request(client: socket.socket, streams: list[int]) -> dict[str, Any]:
    """The request; its streams are added to `streams`.

    Raises:
        OSError, ValueError: the client is gone, or sends something else.
    """
    size, received, *_ = socket.recv_fds(client, 8, 3)
    streams += received
    words = b""
    while len(words) < int.from_bytes(size, "big"):
        part = client.recv(int.from_bytes(size, "big") - len(words))  # signals may follow
        if not part:
            raise ConnectionResetError
        words += part
    request: dict[str, Any] = json.loads(words)
    return request


def _become(request: dict[str, Any], streams: list[int], server: int) -> None:
    """Take over the words, streams, variables, folder and signals of the requested command."""
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL, server)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    sys.argv = request["argv"]


def _status(command: Callable[[], object]) -> int:
    """Run the command line with the words of sys.argv; returns its exit status."""
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        return 1
    return 0


def _finish(status: int) -> NoReturn:
    """End this process as `multiprocessing` ends one that it forked.

    The interpreter's own end would take all modules apart and so copy every page that a job shares with the server.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def end_with_parent(number: int, parent: int | None = None) -> None:
    """Have the kernel send a signal when the thread that started this process ends; end now if that has happened."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, number, 0, 0, 0)
    if os.getppid() == 1 or (parent and os.getppid() != parent):
        os._exit(1)


def preload() -> None:
    """Import what jobs need."""
    for name in PRELOADED:
        importlib.import_module(name)


def settle() -> None:
    """Check that no other thread runs.

    Raises:
        SystemExit: a thread runs that a child would lack.
    """
    busy = [name for name in threads() if name not in IDLE]
    if busy:
        sys.exit(f"jobs start cold: an import started the threads {', '.join(busy)}, which a fork does not copy")


def prepare() -> Callable[[], None]:
    """Compute the facts that every job needs: the machine, the code, numba's calls of compiled functions.

    Finalizers of libraries do not run when a job ends, because they would change memory that all jobs share.

    Returns:
        The command line.
    """
    from shiftbench import cli
    from shiftbench.data import codecs
    from shiftbench.provenance import code_digest, environment, opened_files

    environment.without_gpu()
    opened_files.imported()
    codecs.decode("png", codecs.encode("png", np.zeros((1, 1, 3), np.uint8)))
    for name, module in sorted(sys.modules.items()):
        if name.startswith("shiftbench.") and module.__file__:
            code_digest.digest(Path(module.__file__))
    code_digest.of(map(code_digest.stage, STAGES))
    for object_ in gc.get_objects():
        if type(object_) is weakref.finalize:  # `isinstance` would read `__class__`, at which some objects warn
            object_.atexit = False
    cli.load_all()
    command = typer.main.get_command(cli.app)
    return lambda: cli.main(command)


def threads() -> list[str]:
    """Return the names of this process's threads, the main one left out."""
    main_thread = str(os.getpid())
    tasks = [task for task in Path("/proc/self/task").glob("*") if task.name != main_thread]
    return sorted((task / "comm").read_text().strip() for task in tasks)


if __name__ == "__main__":
    _finish(_status(lambda: main(int(sys.argv[1]))))
