"""The client of the warm server: a command of a stage lets a process that has imported everything do its job.

The client only waits: it passes signals on and ends as the job does. It imports almost nothing, because imports take
most of a job's start. `warm.py` starts the server, which is `cli/warm_server.py`.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

ADDRESS = "SHIFTBENCH_WARM"
"""The environment variable with the server's address."""
STAGES = ("fetch", "shift", "train", "evaluate", "score", "aggregate", "report")
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def hand_over() -> None:
    """Let the warm server do this command, and end as its process does; return if no server is there or can do it."""
    address = os.environ.pop(ADDRESS, None)
    one_thread = os.environ.get("OMP_NUM_THREADS") == "1"  # the server's libraries have one thread, too
    if address and one_thread and sys.argv[1:2] and sys.argv[1] in STAGES:
        with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(address)
            job = _request(server)
            if job:
                _end_as(_answer(server), job)
        if _is_over(address):
            sys.exit("the run of this job was killed, and this job ends with it; start the run again")


def _is_over(address: str) -> bool:
    """Whether the run that started the server has ended: its process is in the name of the server's folder."""
    _, _, rest = Path(address).parent.name.partition("-")
    try:
        run = os.pidfd_open(int(rest.partition("-")[0]))
    except ValueError:  # an address of another form
        return False
    except OSError:
        return True
    try:
        return bool(select.select([run], [], [], 0)[0])  # of a process that has ended, but waits to be reaped
    finally:
        os.close(run)


def _request(server: socket.socket) -> int:
    """Send this command to the server; returns the process that does it, 0 if the server cannot fork."""
    handlers = {number: signal.getsignal(number) for number in PASSED_ON}
    request = {
        "argv": sys.argv,
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "package": str(Path(__file__).parents[2]),
    }
    words = json.dumps(request).encode()
    socket.send_fds(server, [len(words).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(words)
    server.setblocking(False)  # noqa: FBT003
    signal.set_wakeup_fd(server.fileno())  # sends the number of each signal at any time
    for number in PASSED_ON:
        signal.signal(number, lambda *_: None)
    if job := _received(server, 4):
        return int.from_bytes(job, "big")
    signal.set_wakeup_fd(-1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return 0


def _answer(server: socket.socket) -> bytes:
    """The exit status, or minus the signal that ended the job; empty if the server is gone."""
    answer = b""
    while part := _received(server, 16):
        answer += part
    return answer


def _received(server: socket.socket, size: int) -> bytes:
    """Wait for the next bytes; empty if the server is gone."""
    select.select([server], [], [])
    with contextlib.suppress(OSError):
        return server.recv(size)
    return b""


def _end_as(answer: bytes, job: int) -> NoReturn:
    if not answer:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)
        sys.exit("the warm server ended, and this job with it; start the run again")
    status = int(answer)
    if status == -signal.SIGKILL:
        _print("killed (SIGKILL): the machine ran out of memory (see `dmesg`), or it was killed")
    elif status < 0:
        _print(f"ended by {signal.Signals(-status).name}")
    sys.exit(status if status >= 0 else 128 - status)


def _print(text: str) -> None:
    sys.stderr.write(f"{text}\n")
