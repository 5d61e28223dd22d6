"""The warm server: a process that has imported everything and forks the jobs on this machine (`cli/warm_server.py`)."""

import atexit
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shiftbench.provenance import child_environment
from shiftbench.workflow.engine.client import ADDRESS

THREADS = (
    "OMP_NUM_THREADS GOTO_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS VECLIB_MAXIMUM_THREADS NUMEXPR_NUM_THREADS"
).split()
"""Variables that Snakemake's shell sets to a job's number of threads; libraries read them during import."""

IMPORTING, READY = "importing", "ready"
"""Files next to the server's socket: its imports have begun, and have ended."""

COMMAND = ("-m", "shiftbench.cli.warm_server")
"""The command of a server after the interpreter; the number of its socket comes last."""


def start() -> None:
    """Start a server, which ends with this process, and set its address for jobs; without it they start cold."""
    # of this user alone; jobs see in its name which process is the run
    folder = tempfile.mkdtemp(prefix=f"shiftbench-{os.getpid()}-")
    # the server removes it, too, because one of the two processes may be killed
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    address = str(Path(folder) / "jobs")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(1024)
        server = subprocess.Popen(
            [sys.executable, "-P", *COMMAND, str(listener.fileno())],
            pass_fds=[listener.fileno()],
            env=child_environment.build(child_environment.RUN, dict.fromkeys(THREADS, "1")),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=child_environment.NOWHERE,
        )
        atexit.register(_end, server)
        os.environ[ADDRESS] = address


def import_wait(since: float) -> float:
    """The seconds after `since` for which jobs waited for the imports of the server; up to now if they go on.

    Args:
        since: a time of `time.monotonic`.

    Returns:
        0 without a server, or before it has a job.
    """
    folder = Path(os.environ.get(ADDRESS, "/nowhere/jobs")).parent
    now = time.monotonic()
    try:
        begun, *ended = (_age(folder / name) for name in (IMPORTING, READY) if (folder / name).exists())
    except (OSError, ValueError):
        return 0.0
    return max(0.0, now - (ended[0] if ended else 0.0) - max(since, now - begun))


def is_importing() -> bool:
    """Whether the server has a job and still imports what jobs need."""
    folder = Path(os.environ.get(ADDRESS, "/nowhere/jobs")).parent
    return (folder / IMPORTING).exists() and not (folder / READY).exists()


def _age(file: Path) -> float:
    return time.time() - file.stat().st_mtime


def forget() -> None:
    """Forget the server in the process of a cluster's job: a server on the same machine belongs to other jobs."""
    os.environ.pop(ADDRESS, None)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    server.wait()
