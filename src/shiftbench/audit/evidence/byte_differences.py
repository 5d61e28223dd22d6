"""Explanation of bytes that differ from the recorded ones: which member of which sample, and which pixels."""

from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import ArrowException

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import environments, shard_folders
from shiftbench.audit.evidence.tar_members import Member, members
from shiftbench.base.errors import ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, row_digests, shards
from shiftbench.data.shards import Entry
from shiftbench.provenance import environment

SAME = "no library, codec or CPU feature differs from the run's: the bytes were changed later"


def explain(case: Case, ref: Ref, file: str, key: str | None = None) -> dict[str, Any]:
    """Explain bytes of an output that differ from the recorded ones; `key` names a sample, if the file is a tar.

    Returns:
        The differences by name, for a finding; `unexplained` if the bytes cannot be read.
    """
    try:
        explanation = _sample(case, ref, file, key) if key else _file(case, ref, case.root / file)
    except (OSError, ValueError, KeyError, StopIteration, ShiftbenchError, ArrowException) as error:
        return {"unexplained": f"the difference cannot be explained: {error}"}
    return explanation | {"environment": differing(case, ref)}


def differing(case: Case, ref: Ref) -> str:
    """Libraries, codecs and CPU features that differ between a run file and this machine, in words."""
    then = (case.run_file(ref) or {}).get("environment")
    if not then:
        return "the run file states none"
    return ", ".join(environments.differences(then, environment.describe())) or SAME


# ------------------------------------------------------------------ files


def _file(case: Case, ref: Ref, file: Path) -> dict[str, Any]:
    if file.suffix == ".parquet" and file.name != shards.INDEX:
        stated = ((case.receipt(ref) or {}).get("rows") or {}).get(file.name)
        same = row_digests.of(file) == stated
        rows = "are the recorded ones: another writer" if same else "are not the recorded ones"
        return {"rows": rows}
    return {"size": f"{file.stat().st_size} bytes, none of which can be compared: only digests are recorded"}


# ------------------------------------------------------------------ samples


def remade_sample(case: Case, ref: Ref, key: str) -> Path:
    """File of the packed bytes of a sample that was made again."""
    return case.scratch / "rebuilt" / ref.kind / ref.name / f"{key}.packed"


def _sample(case: Case, ref: Ref, file: str, key: str) -> dict[str, Any]:
    entry = next(entry for entry in shard_folders.entries(case, ref) or () if entry.key == key)
    actual = packed(case.root / file, entry)
    again = remade_sample(case, ref, key)
    if again.is_file():
        return compare(actual, again.read_bytes(), entry.offset)
    manifest = shard_folders.manifest(case, ref) or {}
    fields = {extension: name for name, extension in manifest["fields"].items()}
    return _without_remade(actual, entry, fields)


def packed(tar: Path, entry: Entry) -> bytes:
    """Bytes of a sample in a tar."""
    with tar.open("rb") as stream:
        stream.seek(entry.offset)
        return stream.read(entry.size)


def _without_remade(actual: bytes, entry: Entry, fields: dict[str, str]) -> dict[str, Any]:
    """Explain a sample that was not made again."""
    parts = members(actual)
    broken = [f"{part.name} ({why})" for part in parts if (why := _undecodable(part, entry.key))]
    if broken:
        return {"members": ", ".join(broken)}
    values = {fields[part.extension(entry.key)]: codecs.decode(part.extension(entry.key), part.data) for part in parts}
    same = shards.pixels(Sample(entry.key, values)) == entry.pixels
    state = "are the recorded ones: the encoder or a header differs" if same else "are not the recorded ones"
    return {"members": ", ".join(part.name for part in parts), "decoded values": state}


def _undecodable(part: Member, key: str) -> str | None:
    try:
        codecs.decode(part.extension(key), part.data)
    except ShiftbenchError as error:
        return str(error)
    return None


def compare(actual: bytes, made: bytes, offset: int = 0) -> dict[str, Any]:
    """Compare the packed bytes of a sample in a tar, at an offset, with those that were made again.

    Returns:
        First differing byte of the tar, members that differ, differing pixels and the largest difference.
    """
    if actual == made:
        return {"bytes": "are equal to those that were made again: their record is wrong"}
    length = min(len(actual), len(made))
    unlike = np.flatnonzero(np.frombuffer(actual[:length], np.uint8) != np.frombuffer(made[:length], np.uint8))
    first = int(unlike[0]) if len(unlike) else length
    differences: dict[str, Any] = {"first byte": offset + first}
    members_made = {part.name: part for part in members(made)}
    members_here = {part.name: part for part in members(actual)}
    for name in sorted(members_here.keys() | members_made.keys()):
        one, two = members_here.get(name), members_made.get(name)
        if one is None or two is None:
            differences[name] = "is missing" if one is None else "is an additional member"
        elif (one.head, one.data) != (two.head, two.data):
            differences[name] = _member_difference(one, two)
    return differences


def _member_difference(one: Member, two: Member) -> str:
    if one.data == two.data:
        return "its header differs"
    extension = one.name.rpartition("/")[2].partition(".")[2]
    try:
        here, made = codecs.decode(extension, one.data), codecs.decode(extension, two.data)
    except ShiftbenchError as error:
        return f"cannot be decoded: {error}"
    if not isinstance(here, np.ndarray) or not isinstance(made, np.ndarray):
        return f"is {str(here)[:40]!r}, made is {str(made)[:40]!r}"
    if here.shape != made.shape:
        return f"is {here.shape}, made is {made.shape}"
    differences = np.abs(here.astype(np.int64) - made.astype(np.int64))
    if not differences.any():
        return "the same pixels, encoded differently: the encoder differs"
    places = differences.reshape(*differences.shape[:2], -1).any(axis=2)
    return f"{int(places.sum())} of {places.size} pixels differ, by {int(differences.max())} at most"
