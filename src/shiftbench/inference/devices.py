"""Which device a job computes on; GPUs are handed out by index, one process each."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shiftbench.errors import ParamsError


@contextmanager
def hold(device: str = "auto") -> Iterator[str]:
    """Hold a device: `cpu`, `cuda:N`, `cuda` (a free GPU), or `auto` (a free GPU where there is one, else the CPU).

    A GPU is held by an flock on a file named after its index, which the kernel releases after a kill;
    when all are held, the least index is waited for.

    Raises:
        ParamsError: the device does not exist here.
    """
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not count):
        yield "cpu"
        return
    if device in ("auto", "cuda") and count:
        with ExitStack() as stack:
            yield f"cuda:{_first_free(count, stack)}"
        return
    if device.startswith("cuda") and not count:
        raise ParamsError(
            f"a GPU was asked for ({device}), and torch {torch.__version__} finds none on {socket.gethostname()}; "
            "run where there is one and torch is built for it, or without `gpu` in the config"
        )
    if not device.startswith("cuda"):
        raise ParamsError(
            f"device {device!r} does not exist here; known: auto, cpu{', cuda, cuda:N' if count else ''}"
        )
    yield device


def _first_free(count: int, stack: ExitStack) -> int:
    folder = Path(tempfile.gettempdir()) / f"shiftbench-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for index in range(count):
        lock = stack.enter_context((folder / str(index)).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return index
    lock = stack.enter_context((folder / "0").open("w"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    return 0


def out_of_memory() -> type[BaseException]:
    """Return torch's out-of-memory error."""
    import torch

    error: type[BaseException] = torch.cuda.OutOfMemoryError
    return error
