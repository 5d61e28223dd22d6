"""The device that a job computes on; each GPU is held by one process."""

import fcntl
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from shiftbench.base.errors import DataError, ParamsError


@contextmanager
def hold(device: str = "auto") -> Iterator[str]:
    """Hold a device: `cpu`, `cuda:N`, `cuda` (a free GPU), or `auto` (a free GPU where there is one, else the CPU).

    A GPU is held by an flock on a file named after its index, which the kernel releases after a kill;
    if all are held, the job waits for the first GPU.

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
        raise ParamsError(f"device {device!r} does not exist here; known: auto, cpu{', cuda, cuda:N' if count else ''}")
    yield device


def _first_free(count: int, stack: ExitStack) -> int:
    folder = _own_folder(Path(tempfile.gettempdir()) / f"shiftbench-gpus-{os.getuid()}")
    for index in range(count):
        lock = stack.enter_context(_open_lock(folder / str(index)))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return index
    lock = stack.enter_context(_open_lock(folder / "0"))
    fcntl.flock(lock, fcntl.LOCK_EX)
    return 0


def _own_folder(folder: Path) -> Path:
    """A folder that only this user writes to; in a temporary folder another user could have made it.

    Raises:
        DataError: another user made it.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise DataError(
            f"{folder}, for the locks of GPUs, is a link or open to others, who may have made it; remove it, or set "
            "TMPDIR to a folder of yours"
        )
    return folder


def _open_lock(file: Path) -> IO[bytes]:
    """Open a lock file; links are refused and nothing is written."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(file, flags, 0o600), "r+b")


def out_of_memory() -> type[BaseException]:
    """Torch's out-of-memory error."""
    import torch

    error: type[BaseException] = torch.cuda.OutOfMemoryError
    return error
