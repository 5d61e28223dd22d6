"""Files that are whole or not there: written beside, flushed to disk, renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from shiftbench.errors import DataError

_UNWRITABLE = {
    getattr(errno, name)
    for name in "EACCES EPERM EROFS ENOSPC EDQUOT ENOTDIR EISDIR EEXIST ENAMETOOLONG".split()
}


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is five times faster


def from_yaml(text: str) -> Any:
    """Return what a YAML text holds; tags that make objects are refused.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, _LOADER)  # noqa: S506 - both are safe ones


def stays_below(path: object) -> bool:
    """Tell whether a path that somebody else wrote leads to a place below the folder that it is relative to.

    Example:
        >>> [stays_below(path) for path in ("a/b.tar", "../a", "/a", "a/../../b", "", ".", 3)]
        [True, False, False, False, False, False, False]
    """
    if not isinstance(path, str) or not path.isprintable():
        return False
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts


def sha256(file: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(file: Path, value: object) -> None:
    """Write JSON atomically: beside, fsync, rename."""
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"
    write_bytes(file, text.encode())


def write_bytes(file: Path, data: bytes) -> None:
    """Write bytes atomically: beside, fsync, rename.

    Raises:
        DataError: the folder cannot be written.
    """
    with scratch(file) as temporary:
        temporary.write_bytes(data)
        sync(temporary)
        temporary.replace(file)


def _signature() -> str:
    """Name this process, so that others know whose scratch file it is (see locks.py)."""
    return f"{os.getpid()}@{socket.gethostname()}"


@contextmanager
def scratch(output: Path) -> Iterator[Path]:
    """Give a temporary path beside an output; removed if it was not renamed.

    Raises:
        DataError: the folder cannot be written.
    """
    temporary = output.with_name(f".{output.name}.{_signature()}.part")
    with writable(output):
        try:
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(output: Path) -> Iterator[Path]:
    """Give an empty folder beside an output, which is gone afterwards.

    Raises:
        DataError: the folder cannot be written.
    """
    with writable(output):
        temporary = Path(
            tempfile.mkdtemp(prefix=f".part-{output.name}.{_signature()}-", dir=output.parent)
        )
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def writable(output: Path) -> Iterator[None]:
    """Make the folder of an output, and say it in our words when it or the disk refuses.

    Raises:
        DataError: no permission, no space, a file where a folder should be.
    """
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise DataError(
            f"cannot write {output}: {error.strerror}; make the folder writable or set another `root:`"
        ) from error


def sweep(output: Path, *, owns_folder: bool) -> None:
    """Remove what a killed process left beside an output; the caller holds the output's lock."""
    mine = "" if owns_folder else f"{output.name}."
    for left in [*output.parent.glob(f".{mine}*.part"), *output.parent.glob(f".part-{mine}*")]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink()


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
