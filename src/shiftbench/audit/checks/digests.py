"""Every file has the sha256 that the evidence states: outputs, source files, pinned files, DVC's cache.

Pass rule: these files have the recorded sha256: each file of a receipt, each tar and index of a manifest, each source
file of its manifest and of its declaration in sources/, and each pinned file. Each object of the DVC cache that
dvc.lock names has the md5 of its name, and is the file that the receipt states. A finding names the damaged samples of
a tar. All bytes are read, each once. Time stamps, sizes and DVC's state are not used.

Limits: equal digests do not prove that the recipe gives these bytes; levels 2 and 3 check that. Remotes are not read.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders
from shiftbench.audit.evidence.byte_differences import explain, packed
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import pins, places, shards, source_files
from shiftbench.workflow.storage import dvc_config, dvc_lock

NUMBER, LEVEL = "A10", 1
_SAMPLES = 20  # damaged samples of a tar that are named one by one
_UNVERSIONED = ("features", "sources")  # a cache, and what others keep: absent in every clone


@dataclass(frozen=True, slots=True)
class Stated:
    """A file, the sha256 that is stated for it, and the source of that statement."""

    ref: Ref
    file: Path
    sha256: str
    by: str


def check(case: Case) -> Iterator[Finding | Note]:
    """Read everything, then compare."""
    stated = [*_receipts(case), *_manifests(case), *_source_files(case)]
    objects = _objects(case)
    kinds = {one.file: ("sha256",) for one in stated}
    case.digests.read(kinds | dict.fromkeys(objects, ("md5", "sha256")))
    yield from _compare(case, stated)
    yield from _undeclared(case)
    yield from _pinned(case)
    yield from _cache(case, objects)
    yield from _absent(case)
    yield Note(f"{len({one.file for one in stated})} files of {len(case.complete)} outputs, {case.digests.bytes} bytes")


# ------------------------------------------------------------------ what the evidence states


def _receipts(case: Case) -> Iterator[Stated]:
    for ref, _, receipt in case.outputs():
        for name, digest in receipt["made"].items():
            yield Stated(ref, case.folder(ref) / name, digest, "its receipt")


def _manifests(case: Case) -> Iterator[Stated]:
    for ref, _, _ in case.outputs("shards"):
        folder, manifest = case.folder(ref), shard_folders.manifest(case, ref)
        if manifest is None:
            continue  # its receipt has its digest
        yield Stated(ref, folder / shards.INDEX, manifest["index"], "the manifest")
        for name, facts in manifest["tars"].items():
            yield Stated(ref, folder / name, facts["sha256"], "the manifest")


def _source_files(case: Case) -> Iterator[Stated]:
    for ref, _, _ in case.outputs("sources"):
        folder = case.folder(ref)
        # A damaged manifest states no files: its receipt has its digest.
        files = shard_folders.raw_manifest(case, ref).get("files") or {}
        for name, facts in files.items():
            yield Stated(ref, folder / name, facts["sha256"], "the manifest")


# ------------------------------------------------------------------ comparison


def _compare(case: Case, stated: list[Stated]) -> Iterator[Finding]:
    reported: set[tuple[Path, str]] = set()
    for one in stated:
        actual = case.digests.of(one.file)
        if actual == one.sha256 or (one.file, one.sha256) in reported:
            continue
        reported.add((one.file, one.sha256))
        if actual is None:
            why = f"{one.by} names it, and it is missing; `shiftbench pull` or `shiftbench repair` restores it"
            file = _name(case, one.file)
            yield case.incomplete(one.ref, why, file=file, expected=one.sha256)
        else:
            yield from _other_bytes(case, one, actual)


def _other_bytes(case: Case, one: Stated, actual: str) -> Iterator[Finding]:
    file = _name(case, one.file)
    keys = _damaged(one.ref, one.file, case) if one.file.suffix == ".tar" else []
    case.mismatches.append((one.ref, file, tuple(keys) or None))
    why = f"its bytes differ from {one.by}; `shiftbench repair {file}` makes them again"
    digests = {"expected": one.sha256, "found": actual}
    if not keys:
        explanation = explain(case, one.ref, file)
        yield case.failed(one.ref, why, file=file, explanation=explanation, **digests)
    for key in keys[:_SAMPLES]:
        explanation = explain(case, one.ref, file, key)
        yield case.failed(one.ref, why, file=file, sample=key, explanation=explanation, **digests)
    if len(keys) > _SAMPLES:
        more = f"{len(keys) - _SAMPLES} more of its samples are damaged"
        yield case.failed(one.ref, more, file=file, **digests)


def _damaged(ref: Ref, tar: Path, case: Case) -> list[str]:
    """Keys of samples whose bytes are not those of the index."""
    entries = shard_folders.entries(case, ref) or []  # a damaged index is a finding of its own
    return [
        entry.key
        for entry in entries
        if entry.tar == tar.name and hashlib.sha256(packed(tar, entry)).hexdigest() != entry.sha256
    ]


def _name(case: Case, file: Path) -> str:
    return file.relative_to(case.root).as_posix()


# ------------------------------------------------------------------ declarations, pins


def _undeclared(case: Case) -> Iterator[Finding]:
    """Compare source files with what sources/NAME.yaml declares, whatever their manifest says."""
    for ref, _, _ in case.outputs("sources"):
        source, folder = source_files.load_source(ref.name), case.folder(ref)
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
        digests = {
            name: digest
            for name in names
            if source.wants(name)
            and not name.startswith(shards.MANIFEST)  # ours, with its receipt: `*.json` wants them, too
            and (digest := case.digests.of(folder / name))
        }
        for name, declared in source.files.items():
            if digests.get(name, declared.sha256) != declared.sha256:
                why = f"it is not the source file that sources/{ref.name}.yaml declares; fetch it again"
                file = _name(case, folder / name)
                yield case.failed(ref, why, file=file, expected=declared.sha256, found=digests[name])
        if source.tree and source_files.tree_digest(digests.items()) != source.tree.sha256:
            whole = f"the {len(digests)} source files"
            why = f"{whole} are not those that sources/{ref.name}.yaml declares; fetch them again"
            digest = source_files.tree_digest(digests.items())
            yield case.failed(ref, why, expected=source.tree.sha256, found=digest)


def _pinned(case: Case) -> Iterator[Finding | Note]:
    """Compare the user's own files with sources.lock; unlike a run, without trusting time stamps."""
    lock: dict[str, Any] = json.loads(pins.LOCK.read_bytes()) if pins.LOCK.is_file() else {}
    pinned = {
        place: ref
        for ref, artifact in case.plan.artifacts.items()
        for path in pins.paths(artifact.recipe)
        for place in places.places(path)
    }
    for place, ref in pinned.items():
        for name, entry in pins.pinned_files(place, lock).items():
            yield from _pin(case, ref, name, pins.file_of(name, entry), entry["sha256"])
    yield Note(f"{len(pinned)} pinned files or folders")


def _pin(case: Case, ref: Ref, name: str, file: Path, expected: str) -> Iterator[Finding]:
    actual = case.digests.of(file)
    if actual is None:
        why = f"{pins.LOCK} names it, and it is missing; restore it"
        yield case.incomplete(ref, why, file=name, expected=expected)
    elif actual != expected:
        why = f"it is not the file that {pins.LOCK} states; restore that file, or pin this one and run again"
        yield case.failed(ref, why, file=name, expected=expected, found=actual)


# ------------------------------------------------------------------ the DVC cache


def _objects(case: Case) -> dict[Path, str | None]:
    """Objects of dvc.lock that are in the cache here, each with the path of its file, if it has one."""
    try:
        home = dvc_config.home_of(case.root)
        outputs, cache = dvc_lock.outputs(home), dvc_config.cache_of(home)
    except DataError:
        return {}
    files: dict[Path, str | None] = {}
    for output in outputs:
        object_file = cache / dvc_lock.place(output.oid)
        listing = object_file.read_bytes() if output.is_folder and object_file.is_file() else None
        if output.is_folder and listing is None:
            continue
        members = _members(output, listing)
        files |= {cache / dvc_lock.place(oid): path for path, oid in members.items()}
        if output.is_folder:
            files[object_file] = None
    root = case.root.resolve()
    return {file: _below(root, home / path) if path else None for file, path in files.items() if file.is_file()}


def _below(root: Path, file: Path) -> str | None:
    """Path relative to the output root; None: it belongs to another root, such as the default benchmark's."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else None


def _members(output: dvc_lock.Output, listing: bytes | None) -> dict[str, str]:
    try:
        return output.files(listing)
    except (ValueError, KeyError, TypeError):
        return {}  # a damaged listing is found by its own md5


def _cache(case: Case, objects: dict[Path, str | None]) -> Iterator[Finding | Note]:
    stated = {
        f"{Path(ref.path).parent.as_posix()}/{name}": (ref, digest)
        for ref, _, receipt in case.outputs()
        for name, digest in receipt["made"].items()
    }
    for file, path in objects.items():
        md5 = case.digests.of(file, "md5")
        name = (file.parent.name + file.name).removesuffix(".dir")
        ref, digest = stated.get(path or "", (None, None))
        if md5 != name:
            why = f"the object of {path or 'a listing'} in the DVC cache is damaged; remove it and `shiftbench pull`"
            details = {"file": str(file), "expected": name, "found": str(md5)}
            yield case.failed(ref or str(file), why, **details)
        elif digest and ref and case.digests.of(file) != digest:
            why = "dvc.lock records other bytes than its receipt states; `make record` records these"
            actual = str(case.digests.of(file))
            yield case.failed(ref, why, file=str(path), expected=digest, found=actual)
    if objects:
        yield Note(f"{len(objects)} objects of the DVC cache")
    else:
        yield Note("the DVC cache was not checked: it has no object that dvc.lock names")


# ------------------------------------------------------------------ what is not here


def _absent(case: Case) -> Iterator[Finding]:
    """Yield one finding per kind of planned outputs that are not here."""
    missing: dict[tuple[str, bool], list[Ref]] = {}
    for ref in case.plan.artifacts:
        if case.state(ref) == "absent" and ref.kind not in _UNVERSIONED:
            missing.setdefault((ref.kind, ref.local), []).append(ref)
    for (kind, local), refs in missing.items():
        cure = "a licence forbids sharing" if local else "`shiftbench pull` fetches them"
        why = f"{len(refs)} {kind} that are planned are not here, so that their bytes were not read; {cure}"
        yield case.incomplete(refs[0], why)
