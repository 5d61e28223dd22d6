"""Pins: the sha256 of a user's own files, recorded in `sources.lock`, which recipes read.

A plugin's option called `path` names files of the user's. What lies there decides results, so it must be
pinned (`shiftbench pin PATH`); a file that moved since is hashed again, and refused when its bytes are others.

What a path names is in `places`. An address (`https://...`) is read once, when it is pinned; its bytes are kept in the
cache, by their sha256, and that is where they are read from then on.
"""

import hashlib
import http.client
import re
import shlex
import shutil
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import ChecksumError, DataError, ParamsError
from shiftbench.base.files import from_json, scratch, sha256, write_json
from shiftbench.base.refs import Ref, ShardsName
from shiftbench.data import splits
from shiftbench.data.places import existing_files, existing_paths, is_address, is_inside, places
from shiftbench.data.source_files import cache_home

LOCK = Path("sources.lock")
ABSENT = "absent"
"""The digest of what is neither pinned nor here: it can be planned, and is refused when it is used."""
_TIMEOUT = 60  # seconds without a byte
Entries = dict[str, dict[str, Any]]


def pin(paths: Iterable[str | Path]) -> int:
    """Record sha256, size and mtime of files (folders are walked) in sources.lock; addresses are read.

    Returns:
        How many files were recorded.

    Raises:
        DataError: a path does not exist, or an address cannot be read.
        ParamsError: see `places`.
    """
    entries = _entries()
    asked = [place for path in paths for place in places(str(path))]
    found: Entries = {}
    for place in asked:
        if not existing_paths(place):
            raise DataError(f"{place} does not exist; nothing was pinned")
        found |= {_spelled(name): _describe(name) for name in existing_files(place)}
    gone = {name for place in asked for name in pinned_files(place, entries)}
    kept = {name: entry for name, entry in entries.items() if name not in gone}
    write_json(LOCK, {**kept, **found})
    return len(found)


def _spelled(name: str) -> str:
    """A file's name.

    Raises:
        DataError: it is no text, as on a disk that was written under another encoding.
    """
    if not name.isascii() and name.encode(errors="replace").decode() != name:
        raise DataError(f"the name of {name!a} is no UTF-8; rename it, nothing was pinned")
    return name


def duplicates(path: str) -> list[tuple[str, str]]:
    """Pinned files at `path` that repeat the bytes of an earlier one, each with that earlier file."""
    first: dict[str, str] = {}
    found = []
    entries = _entries()
    for place in places(path):
        for name, entry in sorted(pinned_files(place, entries).items()):
            before = first.setdefault(entry["sha256"], name)
            if before != name:
                found.append((before, name))
    return found


def digest(path: str, where: str) -> str:
    """One sha256 over the pinned files at `path`, from sources.lock alone; ABSENT: nothing is there at all.

    Raises:
        ParamsError: something is there, and it is not pinned; names the key and the command. Or see `places`.
    """
    entries, asked = _entries(), places(path, where)
    known = {place: pinned_files(place, entries) for place in asked}
    if not any(known.values()) and not any(map(existing_paths, asked)):
        return ABSENT
    for place in asked:
        if not known[place]:
            raise ParamsError(
                f"{where} = {path!r} is not pinned, so results could not be traced to its bytes; run `{command(path)}`"
            )
    together = {name: entry for some in known.values() for name, entry in some.items()}
    lines = [f"{entry['sha256']}  {name}\n" for name, entry in sorted(together.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(recipe: dict[str, Any]) -> None:
    """Check every pinned file that a recipe names: size and mtime, then bytes.

    Raises:
        ChecksumError: a file is not the pinned one.
        DataError: a file is gone, or a new one lies in a pinned folder.
    """
    entries = _entries()
    for place in (place for path in paths(recipe) for place in places(path)):
        known = pinned_files(place, entries)
        if not known:
            raise DataError(f"{place} is not pinned; bring it, then run `{command(place)}`")
        for name in sorted(known):
            _check_file(name, known[name])
        for stranger in sorted(set(existing_files(place)) - set(known)):
            raise DataError(f"{stranger} is not pinned, but lies in {place}; `{command(place)}` adds it")


def is_pinned(path: str) -> bool:
    """Whether all files that a path names are pinned."""
    entries = _entries()
    return all(pinned_files(place, entries) for place in places(path))


def changed_files(path: str) -> list[str]:
    """Files of a pinned path that are not what was pinned: they have other bytes, or are new."""
    entries = _entries()
    found: list[str] = []
    for place in places(path):
        known = pinned_files(place, entries)
        here = [] if is_address(place) or not known else existing_files(place)
        found += [name for name in here if name not in known or _differs(name, known[name])]
    return found


def local_files(path: str) -> dict[str, Path]:
    """Files and folders that a path names, in its order: name -> location on this machine, if any.

    Raises:
        DataError: an address is not pinned.
        ParamsError: see `places`.
    """
    entries = _entries()
    found: dict[str, Path] = {}
    for place in places(path):
        if is_address(place) and place not in entries:
            raise DataError(f"{place} is not pinned; run `{command(place)}`, which reads it once")
        names = existing_paths(place) or [place]
        found.update((name, file_of(name, entries.get(name, {}))) for name in names)
    return found


def pinned_files(place: str, entries: Entries) -> Entries:
    """Entries of a file, of all below a folder, or of all that a pattern fits."""
    if place in entries:
        return {place: entries[place]}
    return {name: entry for name, entry in entries.items() if is_inside(name, place)}


def file_of(name: str, entry: dict[str, Any]) -> Path:
    """Location of a pinned file; for an address, of its cached bytes."""
    return cache_home() / "pinned" / entry["sha256"] if is_address(name) else Path(name)


def paths(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the pinned files that a recipe names."""
    for value in recipe.values():
        if isinstance(value, dict) and "pinned" in value:
            yield str(value["options"]["path"])


def user_locations(ref: Ref, recipe: Mapping[str, Any]) -> list[Path]:
    """Locations of the user's own files of a dataset: its `root`, and what else clean shards need.

    They are not pinned (ImageNet has 1.3 million): what was read of them is what the shards hold.
    """
    root = recipe.get("dataset", {}).get("options", {}).get("root")
    found = [Path(root).expanduser()] if root else []
    return [*found, *map(Path, required_files(ref, recipe))]


def required_files(ref: Ref, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Files that the user must supply for clean shards: path -> description."""
    spec = recipe.get("dataset", {}) if ref.kind == "shards" else {}
    module = registry.find("datasets", spec["use"]) if spec else None
    if module is None or not hasattr(module, "wants"):
        return {}
    name, split, *_ = ShardsName.of(ref)
    found: dict[str, str] = module.wants(splits.native(split, module), {**spec["options"], "name": name})
    return found


def command(path: str) -> str:
    """Command that pins what a path names."""
    named = places(path)
    return f"shiftbench pin {shlex.quote(named[0] if len(named) == 1 else path)}"


def _check_file(name: str, entry: dict[str, Any]) -> None:
    if is_address(name):
        _bring(name, entry)
    elif not Path(name).is_file():
        raise DataError(f"{name} is pinned in {LOCK} but gone; bring it back, or pin again")
    elif _differs(name, entry):
        raise ChecksumError(f"{name} is not the file that was pinned; `{command(name)}` accepts the new one")


def _differs(name: str, entry: dict[str, Any]) -> bool:
    """Whether a file's bytes differ from the pinned ones; it is read only if its size or time differs."""
    stat = Path(name).stat()
    same = (stat.st_size, stat.st_mtime_ns) == (entry.get("size"), entry.get("mtime_ns"))
    return not same and sha256(Path(name)) != entry["sha256"]


def _entries() -> Entries:
    """Content of sources.lock.

    Raises:
        DataError: it is not what `pin` writes; a digest that is none would become a path.
    """
    try:
        entries: Entries = from_json(LOCK.read_bytes()) if LOCK.is_file() else {}
        whole = all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in entries.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise DataError(f"{LOCK} is no list of pinned files; take it from git again, or remove it and pin again")
    return entries


def _describe(name: str) -> dict[str, Any]:
    if is_address(name):
        return _download(name)
    stat = Path(name).stat()
    return {"sha256": sha256(Path(name)), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


# ------------------------------------------------------------------ addresses


def _bring(address: str, entry: dict[str, Any]) -> None:
    """Have the pinned bytes of an address in the cache."""
    kept = file_of(address, entry)
    if kept.is_file() and sha256(kept) == entry["sha256"]:
        return
    if _download(address)["sha256"] != entry["sha256"]:
        raise ChecksumError(f"{address} has other bytes than were pinned; `{command(address)}` accepts the new ones")


def _download(address: str) -> dict[str, Any]:
    """Read an address into the cache; what it is goes into the lock."""
    folder = cache_home() / "pinned"
    with scratch(folder / hashlib.sha256(address.encode()).hexdigest()) as temporary:
        try:
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, temporary.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DataError(f"{address} cannot be read: {error}; download it and give the file") from None
        entry = {"sha256": sha256(temporary), "size": temporary.stat().st_size}
        temporary.replace(file_of(address, entry))
    return entry
