"""Digests of files: each file is read once, by as many threads as there are cores (hashlib lets them run at once).

The digests that a run keeps (`provenance.memo`), time stamps, sizes and DVC's state are not used, since whoever changed
a file could change them. Names of one inode (hard links, symbolic links into DVC's cache) are one file.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK = 1 << 20
_AT_ONCE = 32  # files of one task: most are small, and a task costs as much as such a file
_KINDS: dict[str, Callable[[], Any]] = {"sha256": hashlib.sha256, "md5": lambda: hashlib.md5(usedforsecurity=False)}
Inode = tuple[int, int]


@dataclass
class Digests:
    """Digests of the files that were read so far; `of` reads further ones. `bytes` counts what was read."""

    threads: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    bytes: int = 0
    _inodes: dict[Path, Inode | None] = field(default_factory=dict)
    _known: dict[tuple[Inode, str], str] = field(default_factory=dict)

    def of(self, file: Path, kind: str = "sha256") -> str | None:
        """`sha256` or `md5` of a file, hexadecimal; None: there is no such file."""
        if file not in self._inodes or (self._inodes[file], kind) not in self._known:
            self.read({file: (kind,)})
        inode = self._inodes[file]
        return None if inode is None else self._known[inode, kind]

    def read(self, kinds_of: Mapping[Path, Iterable[str]]) -> None:
        """Read files that were not read yet, several at once; each has the kinds of its digests."""
        kinds_by_inode: dict[Inode, set[str]] = {}
        files: dict[Inode, tuple[Path, int]] = {}
        for file, names in kinds_of.items():
            inode, size = _stat(file)
            self._inodes[file] = inode
            new = {name for name in names if inode and (inode, name) not in self._known}
            if inode and new:
                kinds_by_inode.setdefault(inode, set()).update(new)
                files[inode] = (file, size)
        # Large ones first, dealt out like cards: no thread is left alone with them at the end.
        order = sorted(files, key=lambda inode: -files[inode][1])
        parts = max(self.threads, len(order) // _AT_ONCE)
        shares = [
            [(inode, files[inode][0], sorted(kinds_by_inode[inode])) for inode in order[first::parts]]
            for first in range(parts)
        ]
        with ThreadPoolExecutor(self.threads) as pool:
            for read in pool.map(_read_all, shares):
                for inode, digests in read.items():
                    self._known |= {(inode, name): digest for name, digest in digests.items()}
        self.bytes += sum(files[inode][1] for inode in order)


def _stat(file: Path) -> tuple[Inode | None, int]:
    try:
        state = os.stat(file)  # noqa: PTH116 - twice as fast as the method, for many thousand files
    except OSError:
        return None, 0
    regular = (state.st_mode & 0o170000) == 0o100000
    return ((state.st_dev, state.st_ino), state.st_size) if regular else (None, 0)


def _read_all(share: list[tuple[Inode, Path, list[str]]]) -> dict[Inode, dict[str, str]]:
    block = bytearray(BLOCK)
    return {inode: _read(file, kinds, memoryview(block)) for inode, file, kinds in share}


def _read(file: Path, kinds: list[str], block: memoryview) -> dict[str, str]:
    hashers = [_KINDS[kind]() for kind in kinds]
    handle = os.open(file, os.O_RDONLY)
    try:
        while size := os.readv(handle, [block]):
            for hasher in hashers:
                hasher.update(block[:size])
    finally:
        os.close(handle)
    return {kind: hasher.hexdigest() for kind, hasher in zip(kinds, hashers, strict=True)}
