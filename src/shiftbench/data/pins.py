"""Pins: the sha256 of a user's own files, recorded in `sources.lock` and read by recipes.

A plugin's option `path` names files of the user. Their bytes decide results, so they must be pinned
(`shiftbench pin PATH`). A file whose size or time changed since is hashed again, and refused if its bytes
differ.

`places` lists the files that a path names. An address (`https://...`) is read once, when it is pinned; its
bytes are kept in the cache by their sha256, and read from there from then on.
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
"""The digest of files that are neither pinned nor here: they can be planned, and are refused when they are used."""
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
    all_places = [place for path in paths for place in places(str(path))]
    new_entries: Entries = {}
    for place in all_places:
        if not existing_paths(place):
            raise DataError(f"{place} does not exist; nothing was pinned")
        new_entries |= {_utf8_name(name): _describe(name) for name in existing_files(place)}
    replaced = {name for place in all_places for name in pinned_files(place, entries)}
    other_entries = {name: entry for name, entry in entries.items() if name not in replaced}
    write_json(LOCK, {**other_entries, **new_entries})
    return len(new_entries)


def _utf8_name(name: str) -> str:
    """A file's name, if it is UTF-8.

    Raises:
        DataError: it is not, as on a disk that was written under another encoding.
    """
    if not name.isascii() and name.encode(errors="replace").decode() != name:
        raise DataError(f"the name of {name!a} is no UTF-8; rename it, nothing was pinned")
    return name


def duplicates(path: str) -> list[tuple[str, str]]:
    """Pinned files at `path` that repeat the bytes of an earlier one, each with that earlier file."""
    first: dict[str, str] = {}
    pairs = []
    entries = _entries()
    for place in places(path):
        for name, entry in sorted(pinned_files(place, entries).items()):
            earlier = first.setdefault(entry["sha256"], name)
            if earlier != name:
                pairs.append((earlier, name))
    return pairs


def digest(path: str, where: str) -> str:
    """One sha256 over the pinned files at `path`, from sources.lock alone; ABSENT: no file is pinned or here.

    Raises:
        ParamsError: a file is here and not pinned; names the key and the command. Or see `places`.
    """
    entries, all_places = _entries(), places(path, where)
    pinned = {place: pinned_files(place, entries) for place in all_places}
    if not any(pinned.values()) and not any(map(existing_paths, all_places)):
        return ABSENT
    for place in all_places:
        if not pinned[place]:
            raise ParamsError(
                f"{where} = {path!r} is not pinned, so results could not be traced to its bytes; run `{command(path)}`"
            )
    files = {name: entry for group in pinned.values() for name, entry in group.items()}
    lines = [f"{entry['sha256']}  {name}\n" for name, entry in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def check(recipe: dict[str, Any]) -> None:
    """Check every pinned file that a recipe names: size and mtime, then bytes.

    Raises:
        ChecksumError: a file is not the pinned one.
        DataError: a file is gone, or a new one lies in a pinned folder.
    """
    entries = _entries()
    for place in (place for path in paths(recipe) for place in places(path)):
        pinned = pinned_files(place, entries)
        if not pinned:
            raise DataError(f"{place} is not pinned; bring it, then run `{command(place)}`")
        for name in sorted(pinned):
            _check_file(name, pinned[name])
        for new_file in sorted(set(existing_files(place)) - set(pinned)):
            raise DataError(f"{new_file} is not pinned, but lies in {place}; `{command(place)}` adds it")


def is_pinned(path: str) -> bool:
    """Whether all files that a path names are pinned."""
    entries = _entries()
    return all(pinned_files(place, entries) for place in places(path))


def changed_files(path: str) -> list[str]:
    """Files of a pinned path that are not what was pinned: they have other bytes, or are new."""
    entries = _entries()
    changed: list[str] = []
    for place in places(path):
        pinned = pinned_files(place, entries)
        existing = [] if is_address(place) or not pinned else existing_files(place)
        changed += [name for name in existing if name not in pinned or _differs(name, pinned[name])]
    return changed


def local_files(path: str) -> dict[str, Path]:
    """Files and folders that a path names, in its order: name -> location on this machine, if any.

    Raises:
        DataError: an address is not pinned.
        ParamsError: see `places`.
    """
    entries = _entries()
    locations: dict[str, Path] = {}
    for place in places(path):
        if is_address(place) and place not in entries:
            raise DataError(f"{place} is not pinned; run `{command(place)}`, which reads it once")
        names = existing_paths(place) or [place]
        locations.update((name, file_of(name, entries.get(name, {}))) for name in names)
    return locations


def pinned_files(place: str, entries: Entries) -> Entries:
    """Entries of a file, of all below a folder, or of all that a pattern fits."""
    if place in entries:
        return {place: entries[place]}
    return {name: entry for name, entry in entries.items() if is_inside(name, place)}


def file_of(name: str, entry: dict[str, Any]) -> Path:
    """Location of a pinned file; of an address, its cached bytes."""
    return cache_home() / "pinned" / entry["sha256"] if is_address(name) else Path(name)


def paths(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the pinned files that a recipe names."""
    for value in recipe.values():
        if isinstance(value, dict) and "pinned" in value:
            yield str(value["options"]["path"])


def user_locations(ref: Ref, recipe: Mapping[str, Any]) -> list[Path]:
    """Locations of the user's own files of a dataset: its `root`, and what else clean shards need.

    They are not pinned (ImageNet has 1.3 million files): the shards contain what was read.
    """
    root = recipe.get("dataset", {}).get("options", {}).get("root")
    folders = [Path(root).expanduser()] if root else []
    return [*folders, *map(Path, required_files(ref, recipe))]


def required_files(ref: Ref, recipe: Mapping[str, Any]) -> dict[str, str]:
    """Files that the user must supply for clean shards: path -> description."""
    spec = recipe.get("dataset", {}) if ref.kind == "shards" else {}
    module = registry.find("datasets", spec["use"]) if spec else None
    if module is None or not hasattr(module, "wants"):
        return {}
    name, split, *_ = ShardsName.of(ref)
    files: dict[str, str] = module.wants(splits.native(split, module), {**spec["options"], "name": name})
    return files


def fault(ref: Ref, recipe: Mapping[str, Any]) -> str:
    """What a data set finds wrong with the user's existing files of clean shards; empty if nothing is."""
    spec = recipe["dataset"]
    module = registry.find("datasets", spec["use"])
    if not registry.defines(module, "fault") or not all(Path(path).exists() for path in required_files(ref, recipe)):
        return ""
    return str(module.fault(splits.native(ShardsName.of(ref).split, module), spec["options"]))


def command(path: str) -> str:
    """Command that pins what a path names."""
    names = places(path)
    return f"shiftbench pin {shlex.quote(names[0] if len(names) == 1 else path)}"


def _check_file(name: str, entry: dict[str, Any]) -> None:
    if is_address(name):
        _fetch(name, entry)
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
        DataError: `pin` did not write it; a text that is no digest would become a path.
    """
    try:
        entries: Entries = from_json(LOCK.read_bytes()) if LOCK.is_file() else {}
        is_valid = all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in entries.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        is_valid = False
    if not is_valid:
        raise DataError(f"{LOCK} is no list of pinned files; take it from git again, or remove it and pin again")
    return entries


def _describe(name: str) -> dict[str, Any]:
    if is_address(name):
        return _download(name)
    stat = Path(name).stat()
    return {"sha256": sha256(Path(name)), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


# ------------------------------------------------------------------ addresses


def _fetch(address: str, entry: dict[str, Any]) -> None:
    """Read an address into the cache, unless its pinned bytes are there."""
    cached = file_of(address, entry)
    if cached.is_file() and sha256(cached) == entry["sha256"]:
        return
    if _download(address)["sha256"] != entry["sha256"]:
        raise ChecksumError(f"{address} has other bytes than were pinned; `{command(address)}` accepts the new ones")


def _download(address: str) -> dict[str, Any]:
    """Read an address into the cache; its entry of the lock."""
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
