"""A cache of file contents; a file is read again if the file system shows that it may have changed.

As in git and DVC, a file with the same size, time of change, inode and time of the inode's change has the same bytes. A
program can set the first time, but not the last. Clocks of file systems have steps: a file that changed just before it
was read may change again under the same times, so it is not cached.
"""

import contextlib
import functools
import hashlib
import io
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.files import write_bytes

Mark = tuple[int, int, int, int]
Read = TypeVar("Read")

_TICK = 20_000_000
"""Nanoseconds within which a file may change twice under one time; Linux counts in 1 to 10 milliseconds."""
_SPARE = 1000
"""Superfluous lines after which the file is written again."""
_SECOND = 1_000_000_000
"""Nanoseconds of the file systems that count in whole seconds."""


class Memo(Generic[Read]):
    """Cached results of a function on files.

    Args:
        read: reads a file that was opened.
    """

    def __init__(self, read: Callable[[io.BufferedReader], Read]) -> None:
        self._read = read
        self.known: dict[str, tuple[Mark, Read]] = {}

    def __call__(self, file: str) -> Read:
        """The result of the function on a file.

        Raises:
            OSError: there is no such file, it cannot be read, or it is a folder, a pipe or a device.
        """
        status = os.stat(file)  # noqa: PTH116 - thousands of files are looked at, and a Path costs more than a look
        cached = self.known.get(file)
        if cached and cached[0] == _mark(status):
            return cached[1]
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{file} is no regular file")
        now = time.time_ns()
        with open(file, "rb") as stream:  # noqa: PTH123
            before = os.fstat(stream.fileno())
            content = self._read(stream)
            after = os.fstat(stream.fileno())
        self.known.pop(file, None)
        if _mark(before) == _mark(after) and _is_settled(before, now):
            self.known[file] = _mark(before), content
        return content


def _mark(status: os.stat_result) -> Mark:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _is_settled(status: os.stat_result, now: int) -> bool:
    """Whether every change from now on gives the file another time."""
    tick = _TICK if status.st_ctime_ns % _SECOND else 2 * _SECOND
    return status.st_ctime_ns + tick < now


class Digests:
    """The sha256 of each file below an output root, kept in `logs/digests` there.

    A line has sha256, size, both times, inode and path. Processes append lines, and the last one of a file counts.
    Without this file, or where a line is damaged, files are hashed once more. It is no evidence: no audit reads it.
    """

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self._file = root / "logs" / "digests"
        self._lines = Memo(lambda stream: stream.read())
        self._sha256 = Memo(lambda stream: hashlib.file_digest(stream, "sha256").hexdigest())
        self._on_disk: dict[str, tuple[Mark, str]] = {}
        self._is_long = False

    def __call__(self, name: str) -> str:
        """Sha256 of a file.

        Args:
            name: its path relative to the root.

        Raises:
            OSError: as `Memo`.
        """
        return self._sha256(self._root + name)

    def load(self) -> None:
        """Load the digests that this and other processes kept."""
        lines = b""
        with contextlib.suppress(OSError):
            lines = self._lines(str(self._file))
        loaded = {
            f"{self._root}{line['name']}": (
                (int(line["size"]), int(line["mtime"]), int(line["ctime"]), int(line["inode"])),
                line["sha256"],
            )
            for line in _LINE.finditer(lines.decode(errors="replace"))
        }
        self._on_disk = loaded
        self._is_long = lines.count(b"\n") > 2 * len(loaded) + _SPARE
        self._sha256.known = {**self._sha256.known, **loaded}

    def keep(self) -> None:
        """Append the new digests; does nothing if the file cannot be written."""
        digests = dict(self._sha256.known)  # other threads add to it
        new = [file for file, entry in digests.items() if self._on_disk.get(file) != entry]
        if not new or registry.Folders.only_read:
            return
        with contextlib.suppress(OSError, DataError):
            if self._is_long:
                write_bytes(self._file, self._text(digests))
            else:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                with self._file.open("ab", buffering=0) as stream:
                    stream.write(self._text(new))
            self._on_disk, self._is_long = dict(digests), False

    def _text(self, names: Iterable[str]) -> bytes:
        return "".join(map(self._line, names)).encode()

    def _line(self, file: str) -> str:
        mark, sha256 = self._sha256.known[file]
        return " ".join([sha256, *map(str, mark), file.removeprefix(self._root)]) + "\n"


@functools.cache
def _digests(home: str) -> Digests:
    digests = Digests(Path(home))
    digests.load()
    return digests


def digests(root: Path) -> Digests:
    """The digests of an output root."""
    return _digests(os.path.abspath(root))  # noqa: PTH100


_LINE = re.compile(
    r"^(?P<sha256>[0-9a-f]{64}) (?P<size>\d+) (?P<mtime>-?\d+) (?P<ctime>-?\d+) (?P<inode>\d+) (?P<name>.+)$",
    re.MULTILINE,
)
