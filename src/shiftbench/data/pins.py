"""Pins: the sha256 of a user's own files, recorded in `sources.lock`, which recipes read.

A plugin's option called `path` names a file, a folder or a Python callable of the user's. What lies
there decides results, so it must be pinned (`shiftbench pin PATH`); a file that moved since is hashed
again, and refused when its bytes are others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench import plugins
from shiftbench.data import splits
from shiftbench.errors import ChecksumError, DataError, ParamsError
from shiftbench.refs import Ref, ShardsName

LOCK = Path("sources.lock")
ABSENT = "absent"
"""The digest of what is neither pinned nor here: it can be planned, and is refused when it is used."""


def pin(paths: list[Path]) -> int:
    """Record sha256, size and mtime of files (folders are walked) in sources.lock.

    Returns:
        How many files were recorded.

    Raises:
        DataError: a path does not exist.
    """
    entries = _entries()
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist; nothing was pinned")
        entries = {name: entry for name, entry in entries.items() if not _below(name, str(path))}
        entries.update({str(file): _describe(file) for file in _files(path)})
    LOCK.write_text(json.dumps(entries, sort_keys=True, indent=1) + "\n")
    return sum(1 for path in paths for _ in _files(path))


def digest(path: str, where: str) -> str:
    """Return one sha256 over the pinned files at `path`, from sources.lock alone; ABSENT: nothing is there at all.

    Raises:
        ParamsError: something is there, and it is not pinned; names the key and the command.
    """
    file = place(path)
    entries = _entries()
    lines = [
        f"{entry['sha256']}  {name}\n"
        for name, entry in sorted(entries.items())
        if _below(name, file)
    ]
    if not lines and not Path(file).exists():
        return ABSENT
    if not lines:
        raise ParamsError(
            f"{where} = {path!r} is not pinned, so results could not be traced to its bytes; "
            f"run `shiftbench pin {file}`"
        )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(recipe: dict[str, Any]) -> None:
    """Check every pinned file that a recipe names: size and mtime, then bytes.

    Raises:
        ChecksumError: a file is not the pinned one.
        DataError: a file is gone, or a new one lies in a pinned folder.
    """
    entries = _entries()
    for file in map(place, paths(recipe)):
        known = {name for name in entries if _below(name, file)}
        if not known:
            raise DataError(f"{file} is not pinned; bring it, then run `shiftbench pin {file}`")
        for name in sorted(known):
            _check_file(Path(name), entries[name])
        for stranger in sorted({str(found) for found in _files(Path(file))} - known):
            raise DataError(
                f"{stranger} is not pinned, but lies in {file}; `shiftbench pin {file}` adds it"
            )


def paths(recipe: dict[str, Any]) -> Iterator[str]:
    """Yield the paths of the pinned files that a recipe names."""
    for value in recipe.values():
        if isinstance(value, dict) and "pinned" in value:
            yield str(value["options"]["path"])


def brought(ref: Ref, recipe: Mapping[str, Any]) -> list[Path]:
    """Return where the user's own files of a dataset lie: its `root`, and what else it wants for clean shards.

    They are not pinned (ImageNet has 1.3 million): what was read of them is what the shards hold.
    """
    root = recipe.get("dataset", {}).get("options", {}).get("root")
    found = [Path(root).expanduser()] if root else []
    return [*found, *map(Path, wanted(ref, recipe))]


def wanted(ref: Ref, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return what the user must bring for clean shards: path -> what it is."""
    spec = recipe.get("dataset", {}) if ref.kind == "shards" else {}
    module = plugins.find("datasets", spec["use"]) if spec else None
    if module is None or not hasattr(module, "wants"):
        return {}
    name, split, *_ = ShardsName.of(ref)
    found: dict[str, str] = module.wants(
        splits.native(split, module), {**spec["options"], "name": name}
    )
    return found


def place(path: str) -> str:
    """Return the file or folder of an option: `./net.py:predict` is in `net.py`."""
    return str(Path(path.partition(":")[0]))


def _check_file(file: Path, entry: dict[str, Any]) -> None:
    if not file.is_file():
        raise DataError(f"{file} is pinned in {LOCK} but gone; bring it back, or pin again")
    stat = file.stat()
    if (stat.st_size, stat.st_mtime_ns) == (entry["size"], entry["mtime_ns"]):
        return
    if _describe(file)["sha256"] != entry["sha256"]:
        raise ChecksumError(
            f"{file} is not the file that was pinned; `shiftbench pin {file}` accepts the new one"
        )


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(LOCK.read_text()) if LOCK.is_file() else {}
    return entries


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _below(name: str, path: str) -> bool:
    return (name + "/").startswith(path + "/")


def _describe(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    stat = file.stat()
    return {"sha256": sha256, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
