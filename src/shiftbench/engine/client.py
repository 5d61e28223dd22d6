"""The other end of `server`: asks for jobs, from any thread, and waits for what becomes of them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from shiftbench.errors import ShiftbenchError
from shiftbench.provenance import child_environment

THREADS = (
    "OMP_NUM_THREADS GOTO_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS VECLIB_MAXIMUM_THREADS NUMEXPR_NUM_THREADS"
).split()
"""What Snakemake's shell sets to a job's number of threads; libraries read them when they are imported."""


COMMAND = ("-m", "shiftbench.cli.warm_server")
"""What starts a server, after the interpreter; its socket's number comes last."""


class JobFailed(ShiftbenchError):
    """A job ended otherwise than with success; says how."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a server is asked for.

    Attributes:
        argv: the command line, `shiftbench` first.
        log: file that its output goes to.
        environment: variables over those of the server.
        seconds: after which it is ended, or None.
    """

    argv: Sequence[str]
    log: str
    environment: Mapping[str, str]
    seconds: float | None = None


class Client:
    """Starts a server, and ends it with `close`; jobs wait for its imports by themselves."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the server
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[tuple[int, bool]]] = {}
        self.alive = True
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", *COMMAND, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=child_environment.build(child_environment.RUN, dict.fromkeys(THREADS, "1")),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
            )
        self._listener = threading.Thread(target=self._listen, name="shiftbench-warm", daemon=True)
        self._listener.start()

    def run(self, job: Job) -> None:
        """Have a job done and wait for its end.

        Raises:
            JobFailed: it failed, was killed or took too long, or the server is gone.
        """
        future: Future[tuple[int, bool]] = Future()
        with self._lock:
            if not self.alive:
                raise self._gone()
            number = next(self._numbers)
            self._waiting[number] = future
            request = {
                "id": number,
                "argv": list(job.argv),
                "log": job.log,
                "environment": dict(job.environment),
                "seconds": job.seconds,
            }
            self._send(request)
        status, late = future.result()
        if late:
            raise JobFailed(f"ended after {job.seconds:g} s, its limit (resources: runtime)")
        if status:
            raise JobFailed(_spelled(status))

    def close(self) -> None:
        """Let the server end its jobs, as Ctrl-C does, and itself; waits for it."""
        with contextlib.suppress(OSError):  # it is gone already
            self._channel.shutdown(socket.SHUT_WR)
        self._listener.join()
        self._channel.close()
        self._said.close()

    def _send(self, request: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # `_listen` finds out that it is gone, and tells all
            self._channel.sendall(json.dumps(request).encode() + b"\n")

    def _listen(self) -> None:
        """Hand out answers until the server is gone; then tell all who still wait."""
        with contextlib.suppress(OSError), self._channel.makefile("rb") as answers:  # or reset
            for line in answers:
                answer = json.loads(line)
                self._waiting.pop(answer["id"]).set_result((answer["status"], answer["late"]))
        self.process.wait()
        with self._lock:
            self.alive = False
            for future in self._waiting.values():
                future.set_exception(self._gone())

    def _gone(self) -> JobFailed:
        """Say how the server ended, with what it said last."""
        said = b"" if self._said.closed else os.pread(self._said.fileno(), 1 << 16, 0)
        how = _spelled(self.process.returncode)
        return JobFailed(
            f"the process that starts jobs ({self.process.pid}) is gone, and its jobs with it: {how}"
            + (f"\n{said.decode(errors='replace').strip()}" if said else "")
        )


def _spelled(status: int) -> str:
    """Say how a process ended."""
    if status == -signal.SIGKILL:
        return (
            "killed (SIGKILL): the machine ran out of memory (`dmesg` tells), or somebody killed it"
        )
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
