"""The records in dvc.lock: outputs, their files, and the object of each file in DVC's cache.

An object has the path `files/md5/ab/cdef...` after its md5. The object of an output that is a folder is a listing of
its files.
"""

import functools
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from shiftbench.base.errors import DataError
from shiftbench.base.files import from_json, from_yaml, sha256, stays_below
from shiftbench.workflow.storage import dvc_config
from shiftbench.workflow.storage.dvc_config import cache_of, home_of


@dataclass(frozen=True, slots=True)
class Output:
    """An output in dvc.lock: its path, its object (`... .dir` is a listing), and the bytes of all its files."""

    path: str
    oid: str
    size: int | None

    @property
    def is_folder(self) -> bool:
        """Whether the object is a listing of files."""
        return self.oid.endswith(".dir")

    def files(self, listing: bytes | None) -> dict[str, str]:
        """The object of each file by its path; a folder needs its listing.

        Raises:
            DataError: the listing is damaged, or names a file outside of the folder.
        """
        if listing is None:
            return {self.path: self.oid}
        try:
            rows = [(row["relpath"], row["md5"]) for row in from_json(listing)]
        except (ValueError, TypeError, KeyError):
            raise DataError(f"{self.path}: object {self.oid} is not a listing of a folder") from None
        return {f"{self.path}/{name}": _checked_oid(name, oid, self.path) for name, oid in rows}

    def meets(self, targets: Iterable[str]) -> bool:
        """Whether the output is at or below one of the targets, or a target is below the output."""
        return any(lies_at(self.path, target) or lies_at(target, self.path) for target in targets)


def _checked_oid(path: object, oid: object, where: str) -> str:
    """The checked name of an object; it becomes a path, as the name of its file does.

    Raises:
        DataError: one of the two leads outside.
    """
    if not stays_below(path):
        raise DataError(f"{where} names the file {path!r}, which leads outside; nothing is written")
    if not isinstance(oid, str) or not re.fullmatch("[0-9a-f]{32}", oid):
        raise DataError(f"{where} names the object {oid!r} of {path}, which is no md5")
    return oid


def lies_at(path: str, target: str) -> bool:
    """Whether a path is a target, is below it, or is the target's name with an extension.

    Example:
        >>> [lies_at(path, "fog/3") for path in ("fog/3/000000.tar", "fog/3.json", "fog/3.5.json", "fog/30.json")]
        [True, True, False, False]
    """
    if not path.startswith(target):
        return False
    rest = path[len(target) :]
    return not rest or target.endswith("/") or re.match(r"/|\.[a-z]", rest) is not None


def outputs(home: Path) -> list[Output]:
    """The stored outputs in dvc.lock, then those in the dvc.lock of each system (`recorded_systems`).

    Raises:
        DataError: there is no dvc.lock, or one names a path outside of the repository.
    """
    locks = [file for file in (home / "dvc.lock", *_of_systems(home)) if file.is_file()]
    if not locks:
        raise DataError(f"{home / 'dvc.lock'} does not exist: nothing was recorded here; `make record` records outputs")
    return [output for lock in locks for output in _stored(lock)]


def _of_systems(home: Path) -> list[Path]:
    return sorted((home / "published").glob("systems/**/dvc.lock"))


def _stored(lock: Path) -> list[Output]:
    kept_in_git = _uncached(lock.with_name("dvc.yaml"))
    stored = [
        (out["path"], out["md5"], size if isinstance(size := out.get("size"), int) else None)
        for out in _outs(lock)
        if isinstance(out, dict) and "md5" in out and str(out.get("path")) not in kept_in_git
    ]
    for path, oid, _ in stored:
        _checked_oid(path, str(oid).removesuffix(".dir"), str(lock))
    return [Output(*fields) for fields in stored]


def _uncached(file: Path) -> set[str]:
    """The outputs in dvc.yaml with `cache: false`."""
    outs = [out for out in _outs(file) if isinstance(out, dict)] if file.is_file() else []
    entries = [(name, settings) for out in outs for name, settings in out.items() if isinstance(settings, dict)]
    return {str(name) for name, settings in entries if settings.get("cache") is False}


def _outs(file: Path) -> list[Any]:
    """The outputs of all stages in dvc.yaml or dvc.lock.

    Raises:
        DataError: the file has another form.
    """
    try:
        stages = from_yaml(file.read_text())["stages"].values()
        return [out for stage in stages for out in stage.get("outs", ())]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file} is not a list of stages as DVC writes it: {reason}; restore it from git") from None


def recorded(home: Path) -> dict[str, str]:
    """The recorded files and their objects, as far as listings are in the cache."""
    cache = cache_of(home)
    objects: dict[str, str] = {}
    for output in outputs(home):
        cached = cache / place(output.oid)
        if not output.is_folder:
            objects[output.path] = output.oid
        elif cached.is_file():
            objects |= output.files(cached.read_bytes())
    return objects


def copy(file: Path, digest: str, target: Path) -> bool:
    """Copy a recorded file from the cache.

    Args:
        file: the recorded path.
        digest: sha256 of the expected bytes.
        target: the file to write.

    Returns:
        Whether it was copied; False if other bytes or nothing was recorded, or if DVC is not installed.
    """
    try:
        home = home_of(file.parent)
        cached = _cached(home).get((file.parent.resolve() / file.name).relative_to(home).as_posix())
        if cached is None:
            return False
        shutil.copyfile(cached, target)
    except (ImportError, OSError, DataError):
        return False
    return sha256(target) == digest


@functools.cache
def _cached(home: Path) -> dict[str, Path]:
    """The cached objects of all recorded files, read once per process."""
    cache = cache_of(home)
    return {path: cache / place(oid) for path, oid in recorded(home).items()}


def paths(home: Path) -> set[str]:
    """All recorded outputs, files and folders, as far as listings are in the cache."""
    roots, files = {output.path for output in outputs(home)}, recorded(home)
    above = {str(folder) for path in files for folder in PurePosixPath(path).parents}
    subfolders = {folder for folder in above if any(folder.startswith(f"{root}/") for root in roots)}
    return roots | subfolders | set(files)


def matching(home: Path, targets: list[str]) -> list[str]:
    """The recorded files and folders of some targets; a target may also be the name of files without extension."""
    files, recorded_paths = recorded(home), paths(home)
    matches: list[str] = []
    for target in targets:
        matches += [target] if target in recorded_paths else [p for p in files if lies_at(p, target)]
    return matches


def links(home: Path) -> dict[Path, Path]:
    """The files that DVC may have placed as symbolic links (`cache.type`), each with its object."""
    if "symlink" not in (dvc_config.load(home)["cache"].get("type") or ()):
        return {}
    cache = cache_of(home)
    return {home / path: cache / place(oid) for path, oid in recorded(home).items()}


def place(oid: str) -> str:
    """The path of an object below a folder of objects.

    Example:
        >>> place("abcdef.dir")
        'ab/cdef.dir'
    """
    return f"{oid[:2]}/{oid[2:]}"
