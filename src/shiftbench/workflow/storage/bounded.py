"""Bounded downloads: an object that has more bytes than it may is refused while it comes, whatever its server says.

`dvc_store` uses it; the clients are fsspec's, which tell a callback of bytes after they were unpacked.
"""

import shutil
import stat
from pathlib import Path
from typing import Any

from fsspec import Callback

from shiftbench.base.errors import ChecksumError

_KEPT = 10
"""Of the free disk one part in so many is left, where nobody states how large an object is."""


class TooLargeError(ChecksumError):
    """An object has more bytes than it may."""


class _Counted(Callback):  # type: ignore[misc]
    """Counts the bytes of one download, tells another callback of them, and ends it at the limit."""

    value: int

    def __init__(self, limit: int, other: Callback) -> None:
        super().__init__()
        self.limit, self.other = limit, other

    def relative_update(self, inc: int = 1) -> None:
        """Count so many more."""
        self.absolute_update(self.value + inc)

    def absolute_update(self, value: int) -> None:
        """Count so many in all.

        Raises:
            TooLargeError: there are more than may be.
        """
        self.other.relative_update(value - self.value)
        self.value = value
        _check(value, self.limit)


def get(fs: Any, path: str, file: Path, limit: int | None, count: Callback | None = None) -> None:
    """Copy an object from a remote into a file.

    Args:
        fs: DVC's client of the remote.
        path: of the object there.
        file: where it is put, in whole or in part.
        limit: bytes that it may have; None: nine tenths of what the disk leaves.
        count: is told of bytes as they come.

    Raises:
        TooLargeError: it has more; the rest was not read.
        OSError and what the client raises: it did not come.
    """
    most = shutil.disk_usage(file.parent).free * (_KEPT - 1) // _KEPT if limit is None else limit
    if fs.protocol == "local":  # copied by the kernel, which tells of no bytes
        found = Path(path).stat()
        _check(found.st_size if stat.S_ISREG(found.st_mode) else most + 1, most)
    fs.get_file(path, str(file), callback=_Counted(most, count or Callback()))


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(f"it has more than the {limit} bytes that it may have")
