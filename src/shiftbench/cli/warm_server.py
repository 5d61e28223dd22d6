"""A process in which everything is imported already; its children are stages of the command line, a job each.

    python -P -m shiftbench.cli.warm_server FD       # FD: the socket on which jobs are asked for

Whoever asks (`engine/client.py`) sends the words, folder, variables and streams of a command, and signals that
it gets; it receives the exit status. `socketserver` forks a keeper for each connection; the keeper forks the job,
watches both, and ends the job with all that it started when either end is gone.

What makes the fork safe: nothing is computed here, so that no pool of threads has started (`settle` checks it by their
names) and CUDA is untouched. Where a library starts threads, this process ends, and jobs go on without it.
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
import shutil
import signal
import socket
import socketserver
import sys
import tempfile
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import typer.main

from shiftbench.engine.client import BEGUN, STAGES
from shiftbench.plugins import PACKAGE

PRELOADED = (
    "numpy torch torchvision.transforms.v2 torch._inductor.config polars pyarrow.parquet pyarrow.compute "
    "pyarrow.dataset cv2 PIL.Image scipy.stats sklearn.linear_model numba webdataset safetensors.torch jinja2 "
    "shiftbench.cli shiftbench.stages.fetch shiftbench.stages.shift shiftbench.stages.train "
    "shiftbench.stages.evaluate shiftbench.stages.score shiftbench.stages.aggregate shiftbench.stages.report "
    "shiftbench.stages.samples shiftbench.stages.verbs shiftbench.engine.memory shiftbench.data.dataset_card"
).split()
"""What jobs spend their start on: libraries, the command line, the stages."""

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
    with Server(descriptor) as server:
        try:
            select.select([server], [], [])
            preload()
            Keeper.command = staticmethod(prepare())
            settle()
            gc.collect()  # so that no job soon looks at all objects, which copies them
            warnings.filterwarnings(
                "ignore", message=".*use of fork.*"
            )  # threads have been looked at
            server.serve_forever()
        finally:
            shutil.rmtree(Path(server.socket.getsockname()).parent, ignore_errors=True)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks a keeper for each connection to a socket that is open already."""

    max_children = 10_000
    block_on_close = False

    def __init__(self, descriptor: int) -> None:
        super().__init__("", Keeper, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptor)


class Keeper(socketserver.BaseRequestHandler):
    """Starts one job, in a process of its own, and stays until it has ended."""

    command: Callable[[], object]

    def handle(self) -> None:
        """Start what is asked for and answer with its exit status; answer nothing to who has another package."""
        # It ends with the job, the asker or the server, and nothing else ends it half-way.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server, keeper = os.getppid(), os.getpid()
        gone = os.pidfd_open(server)
        asked, streams = _asked(self.request)
        if asked["package"] != str(PACKAGE) or os.getppid() != server:
            return
        job = os.fork()
        if not job:
            _become(asked, streams, keeper)
            _finish(_status(self.command))
        try:
            with contextlib.suppress(OSError):  # it may have done so, or be gone
                os.setpgid(job, job)
            self.request.sendall(BEGUN)
            self._keep(job, gone)
        finally:
            _end(job)

    def _keep(self, job: int, gone: int) -> None:
        """Pass signals on until the job has ended, or who asked for it is gone, or the server."""
        ended = os.pidfd_open(job)
        while ended not in (ready := select.select([self.request, ended, gone], [], [])[0]):
            numbers = b"" if gone in ready else self.request.recv(64)
            if not numbers:
                return
            for number in numbers:
                _signal(job, number)
        _, status = os.waitpid(job, 0)
        self.request.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _asked(request: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return what is asked for, and its streams."""
    size, streams, *_ = socket.recv_fds(request, 8, 3)
    words = b""
    while len(words) < int.from_bytes(size, "big"):
        more = request.recv(1 << 16)
        if not more:
            sys.exit()
        words += more
    return json.loads(words), streams


def _become(asked: dict[str, Any], streams: list[int], keeper: int) -> None:
    """Be what a shell would have started: the words, streams, variables, folder and signals."""
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL, keeper)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
        os.close(stream)
    sys.argv = asked["argv"]


def _status(command: Callable[[], object]) -> int:
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
    """End this process as `multiprocessing` ends one that it forked.

    The interpreter's own end would take all modules apart and so copy every page that a job shares with the server.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _end(job: int) -> None:
    """End a job as Ctrl-C does, with all that it started, and insist after a while."""
    with contextlib.suppress(ChildProcessError):  # it has ended
        ended = os.pidfd_open(job) if os.waitpid(job, os.WNOHANG) == (0, 0) else None
        if ended:
            _signal(job, signal.SIGINT)
            select.select([ended], [], [], GRACE)
    _signal(job, signal.SIGKILL)


def _signal(job: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job, number)


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
    """Make sure that nothing runs beside.

    Raises:
        SystemExit: a thread runs that a child would miss.
    """
    busy = [name for name in threads() if name not in IDLE]
    if busy:
        sys.exit(
            f"jobs start cold: an import started the threads {', '.join(busy)}, which a fork does not copy"
        )


def prepare() -> Callable[[], None]:
    """Find out what every job would find out for itself: the machine, the code, how numba calls compiled functions.

    Finalizers of libraries do not run when a job ends: it would take apart what it shares with all others.

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
    for one in gc.get_objects():
        if type(one) is weakref.finalize:  # others are asked for `__class__`, and some warn
            one.atexit = False
    command = typer.main.get_command(cli.app)
    return lambda: cli.main(command)


def threads() -> list[str]:
    """Return the names of this process's threads, the main one left out."""
    main_thread = str(os.getpid())
    tasks = [task for task in Path("/proc/self/task").glob("*") if task.name != main_thread]
    return sorted((task / "comm").read_text().strip() for task in tasks)


if __name__ == "__main__":
    _finish(_status(lambda: main(int(sys.argv[1]))))
