"""The state of this checkout in git. Nothing is written, and no program that the checkout configures is run.

The work tree is compared with the commit byte by byte: commit, trees and blobs are hashed here, so neither the index
(`--assume-unchanged`), nor filters, nor `git replace`, grafts, `core.worktree` or a damaged object can hide a change.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.provenance.git import ask as ask
from shiftbench.provenance.git import is_known as is_known
from shiftbench.provenance.git import says as says

_LINK, _FOLDER, _MODULE = "120000", "40000", "160000"


@dataclass(frozen=True, slots=True)
class TrackedFile:
    """A file of HEAD: path, name relative to the top of the repository, mode and object."""

    path: Path
    name: str
    mode: str = ""
    oid: str = ""

    def blob(self) -> bytes | None:
        """Content in HEAD; None if HEAD does not have it."""
        return _objects([self.oid])[self.oid] if self.oid else None

    def bytes(self) -> bytes | None:
        """Content of the file, or target of the link; None if there is no such file."""
        try:
            if self.mode == _LINK:
                return os.fsencode(self.path.readlink())
            return None if self.path.is_symlink() else self.path.read_bytes()
        except OSError:
            return None

    @property
    def same(self) -> bool:
        """Whether the content is that of HEAD."""
        content = self.bytes()
        return content is not None and _hash("blob", content, len(self.oid)) == self.oid

    @property
    def same_lines(self) -> bool:
        """Whether the content is that of HEAD except for line endings."""
        content = self.bytes()
        if not content or not self.oid:
            return False
        return _hash("blob", content.replace(b"\r\n", b"\n"), len(self.oid)) == self.oid


def top() -> Path:
    """Top folder of the repository that the working folder lies in, whatever its configuration says."""
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def changed() -> tuple[list[TrackedFile], list[str]]:
    """Files of HEAD that differ here, and names of files that HEAD does not have."""
    known = {file.name: file for file in _files()}
    output = ask("ls-files", "--cached", "--others", "--exclude-standard", "-z", home=top()) or b""
    listed = {os.fsdecode(line) for line in output.split(b"\0") if line}
    return [file for file in known.values() if not file.same], sorted(listed - known.keys())


def tracked() -> set[Path]:
    """Paths of the files of HEAD."""
    return {file.path for file in _files()}


def links() -> list[TrackedFile]:
    """Symbolic links of HEAD."""
    return [file for file in _files() if file.mode == _LINK]


def rewritten() -> list[str]:
    """Replacements and grafts, which make git read other objects than a commit names."""
    replacements = (says("for-each-ref", "--format=%(refname)", "refs/replace/") or "").splitlines()
    shared = says("rev-parse", "--path-format=absolute", "--git-common-dir")
    grafts = Path(shared or ".git") / "info" / "grafts"
    return [*replacements, *([str(grafts)] if grafts.is_file() else [])]


def _files() -> Iterator[TrackedFile]:
    """Yield the files of HEAD, without those of submodules."""
    home, head = top(), says("rev-parse", "--verify", "HEAD")
    if head is None:
        return
    first = _objects([head])[head].split(b"\n")[0].split()[1].decode()
    folders = [("", first)]
    while folders:
        trees, below = _objects({oid for _, oid in folders}), []
        for place, tree in folders:
            for mode, name, oid in _entries(trees[tree], len(tree) // 2):
                if mode == _FOLDER:
                    below.append((f"{place}{name}/", oid))
                elif mode != _MODULE:
                    yield TrackedFile(home / place / name, f"{place}{name}", mode, oid)
        folders = below


def _entries(tree: bytes, size: int) -> Iterator[tuple[str, str, str]]:
    """Yield mode, name and object of each entry of a tree."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        at = end + 1 + size
        yield mode.decode(), os.fsdecode(name), tree[end + 1 : at].hex()


def _objects(oids: Iterable[str]) -> dict[str, bytes]:
    """Content of objects, each hashed here; a missing or damaged object is a DataError."""
    names = list(oids)
    output = ask("cat-file", "--batch", given="".join(f"{oid}\n" for oid in names).encode()) or b""
    contents, at = {}, 0
    for oid in names:
        end = output.find(b"\n", at)
        kind, _, size = output[at:end].decode().partition(" ")[2].partition(" ")
        if not size.isdigit():
            raise DataError(f"git has no object {oid}; `git fsck` tells what is damaged")
        at = end + 1 + int(size)
        contents[oid] = output[end + 1 : at]
        at += 1
        if _hash(kind, contents[oid], len(oid)) != oid:
            raise DataError(f"git's object {oid} has other bytes than its name says; clone again")
    return contents


def _hash(kind: str, content: bytes, length: int) -> str:
    """Name of an object: sha1, in repositories of git's newer format sha256."""
    data = b"%b %d\0" % (kind.encode(), len(content)) + content
    if length == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def is_shallow() -> bool:
    """Whether this is a shallow clone."""
    return says("rev-parse", "--is-shallow-repository") == "true"


def is_ancestor(commit: str) -> bool:
    """Whether a commit is HEAD or one of its ancestors."""
    return ask("merge-base", "--is-ancestor", "--end-of-options", commit, "HEAD") is not None
