"""Bounded downloads: an object with more bytes than its limit is refused during the download.

The limit does not depend on the server. The clients are fsspec's, which report unpacked bytes to a callback.
"""

import shutil
import stat
from pathlib import Path
from typing import Any

from fsspec import Callback

from shiftbench.base.errors import ChecksumError

_FREE_PART = 10
"""If the size of an object is not stated, one part in so many of the free disk is left."""


class TooLargeError(ChecksumError):
    """An object has more bytes than its limit."""


class _Counted(Callback):  # type: ignore[misc]
    """Counts the bytes of one download, reports them to another callback, and stops at the limit."""

    value: int

    def __init__(self, limit: int, other: Callback) -> None:
        super().__init__()
        self.limit, self.other = limit, other

    def relative_update(self, inc: int = 1) -> None:
        """Add bytes."""
        self.absolute_update(self.value + inc)

    def absolute_update(self, value: int) -> None:
        """Set the number of bytes.

        Raises:
            TooLargeError: it exceeds the limit.
        """
        self.other.relative_update(value - self.value)
        self.value = value
        _check(value, self.limit)


def get(fs: Any, path: str, file: Path, limit: int | None, count: Callback | None = None) -> None:
    """Copy an object from a remote into a file.

    Args:
        fs: DVC's client of the remote.
        path: the object's path on the remote.
        file: the file to write; it may stay incomplete.
        limit: most bytes; None: nine tenths of the free disk.
        count: callback for the bytes that arrive.

    Raises:
        TooLargeError: the object is larger; the rest was not read.
        OSError and errors of the client: it cannot be read.
    """
    most = shutil.disk_usage(file.parent).free * (_FREE_PART - 1) // _FREE_PART if limit is None else limit
    if fs.protocol == "local":  # the kernel copies it and reports no bytes
        facts = Path(path).stat()
        _check(facts.st_size if stat.S_ISREG(facts.st_mode) else most + 1, most)
    fs.get_file(path, str(file), callback=_Counted(most, count or Callback()))


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(f"it has more than {limit} bytes, the most that it may have")
