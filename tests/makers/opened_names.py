"""Which files of some folders are opened, by whatever process, as the kernel tells it (inotify)."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_OPEN, _FOLDER = 0x20, 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class OpenedNames:
    """Listens until it is closed.

    Args:
        folders: whose files count, not those further below.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._descriptor = _checked(_LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._folders = {
            _checked(_LIBC.inotify_add_watch(self._descriptor, bytes(folder), _OPEN)): folder for folder in folders
        }

    def since(self) -> set[Path]:
        """Return the files that were opened since one last asked; folders that were listed are none."""
        names = set()
        while data := self._read():
            at = 0
            while at < len(data):
                watch, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + length].rstrip(b"\0")
                at += 16 + length
                if name and not mask & _FOLDER:
                    names.add(self._folders[watch] / os.fsdecode(name))
        return names

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Listen no more."""
        os.close(self._descriptor)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "inotify")
    return result
