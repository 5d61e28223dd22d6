"""Every file has the sha256 that the evidence states: shards, records, weights, tables, report, sources, pins, cache.

Pass rule: each file that a receipt names, each tar and index that a manifest names, each source file that its manifest
and its declaration in sources/ name, and each pinned file has the recorded sha256; each object of the DVC cache that
dvc.lock names has the md5 that is its name, and is the file that the receipt states. A damaged tar is followed to the
sample. All bytes are read, each once; time stamps, sizes and DVC's state are not believed. Limits: that digests and
bytes agree does not say that the bytes came from the recipe; levels 2 and 3 ask that. Remotes are not read here.
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
_SAMPLES = 20  # damaged samples of a tar that are told one by one
_UNVERSIONED = ("features", "sources")  # a cache, and what others keep: absent in every clone


@dataclass(frozen=True, slots=True)
class Stated:
    """A file, the sha256 that it should have, and who says so."""

    ref: Ref
    file: Path
    sha256: str
    by: str


def check(case: Case) -> Iterator[Finding | Note]:
    """Read everything, then compare."""
    stated = [*_receipts(case), *_manifests(case), *_source_files(case)]
    objects = _objects(case)
    wanted = {one.file: ("sha256",) for one in stated}
    case.digests.read(wanted | dict.fromkeys(objects, ("md5", "sha256")))
    yield from _compared(case, stated)
    yield from _undeclared(case)
    yield from _pinned(case)
    yield from _cache(case, objects)
    yield from _absent(case)
    yield Note(f"{len({one.file for one in stated})} files of {len(case.complete)} outputs, {case.digests.bytes} bytes")


# ------------------------------------------------------------------ what the evidence states


def _receipts(case: Case) -> Iterator[Stated]:
    for ref, _, receipt in case.of():
        for name, digest in receipt["made"].items():
            yield Stated(ref, case.folder(ref) / name, digest, "its receipt")


def _manifests(case: Case) -> Iterator[Stated]:
    for ref, _, _ in case.of("shards"):
        folder, manifest = case.folder(ref), shard_folders.manifest(case, ref)
        if manifest is None:
            continue  # its receipt has its digest
        yield Stated(ref, folder / shards.INDEX, manifest["index"], "the manifest")
        for name, facts in manifest["tars"].items():
            yield Stated(ref, folder / name, facts["sha256"], "the manifest")


def _source_files(case: Case) -> Iterator[Stated]:
    for ref, _, _ in case.of("sources"):
        folder = case.folder(ref)
        # A damaged manifest states no files: its receipt has its digest.
        files = shard_folders.stated(case, ref).get("files") or {}
        for name, facts in files.items():
            yield Stated(ref, folder / name, facts["sha256"], "the manifest")


# ------------------------------------------------------------------ comparison


def _compared(case: Case, stated: list[Stated]) -> Iterator[Finding]:
    told: set[tuple[Path, str]] = set()
    for one in stated:
        found = case.digests.of(one.file)
        if found == one.sha256 or (one.file, one.sha256) in told:
            continue
        told.add((one.file, one.sha256))
        if found is None:
            why = f"{one.by} names it, and it is not here; `shiftbench pull` or `shiftbench repair` brings it"
            file = _name(case, one.file)
            yield case.incomplete(one.ref, why, file=file, expected=one.sha256)
        else:
            yield from _other_bytes(case, one, found)


def _other_bytes(case: Case, one: Stated, found: str) -> Iterator[Finding]:
    file = _name(case, one.file)
    keys = _damaged(one.ref, one.file, case) if one.file.suffix == ".tar" else []
    case.mismatches.append((one.ref, file, tuple(keys) or None))
    why = f"its bytes are not those that {one.by} states; `shiftbench repair {file}` makes them again"
    digests = {"expected": one.sha256, "found": found}
    if not keys:
        told = explain(case, one.ref, file)
        yield case.failed(one.ref, why, file=file, explanation=told, **digests)
    for key in keys[:_SAMPLES]:
        told = explain(case, one.ref, file, key)
        yield case.failed(one.ref, why, file=file, sample=key, explanation=told, **digests)
    if len(keys) > _SAMPLES:
        more = f"{len(keys) - _SAMPLES} more of its samples are damaged"
        yield case.failed(one.ref, more, file=file, **digests)


def _damaged(ref: Ref, tar: Path, case: Case) -> list[str]:
    """Return the keys of samples whose bytes are not those of the index."""
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
    for ref, _, _ in case.of("sources"):
        source, folder = source_files.load_source(ref.name), case.folder(ref)
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*"))]
        found = {
            name: digest
            for name in names
            if source.wants(name)
            and not name.startswith(shards.MANIFEST)  # ours, with its receipt: `*.json` wants them, too
            and (digest := case.digests.of(folder / name))
        }
        for name, declared in source.files.items():
            if found.get(name, declared.sha256) != declared.sha256:
                why = f"it is not the source file that sources/{ref.name}.yaml declares; fetch it again"
                file = _name(case, folder / name)
                yield case.failed(ref, why, file=file, expected=declared.sha256, found=found[name])
        if source.tree and source_files.tree_digest(found.items()) != source.tree.sha256:
            why = f"the {len(found)} source files are not those that sources/{ref.name}.yaml declares; fetch them again"
            digest = source_files.tree_digest(found.items())
            yield case.failed(ref, why, expected=source.tree.sha256, found=digest)


def _pinned(case: Case) -> Iterator[Finding | Note]:
    """Compare a user's own files with sources.lock; unlike a run, believe no time stamp."""
    lock: dict[str, Any] = json.loads(pins.LOCK.read_bytes()) if pins.LOCK.is_file() else {}
    pinned = {
        place: ref
        for ref, artifact in case.plan.artifacts.items()
        for path in pins.paths(artifact.recipe)
        for place in places.places(path)
    }
    for place, ref in pinned.items():
        for name, entry in pins.pinned(place, lock).items():
            yield from _pin(case, ref, name, pins.file_of(name, entry), entry["sha256"])
    yield Note(f"{len(pinned)} pinned files or folders")


def _pin(case: Case, ref: Ref, name: str, file: Path, expected: str) -> Iterator[Finding]:
    found = case.digests.of(file)
    if found is None:
        why = f"{pins.LOCK} names it, and it is not here; bring it back"
        yield case.incomplete(ref, why, file=name, expected=expected)
    elif found != expected:
        why = f"it is not the file that {pins.LOCK} states; bring that back, or pin this one and run again"
        yield case.failed(ref, why, file=name, expected=expected, found=found)


# ------------------------------------------------------------------ the DVC cache


def _objects(case: Case) -> dict[Path, str | None]:
    """Return the objects that dvc.lock names and that are in the cache here: the path of each one's file, if any."""
    try:
        home = dvc_config.home_of(case.root)
        outputs, cache = dvc_lock.outputs(home), dvc_config.cache_of(home)
    except DataError:
        return {}
    found: dict[Path, str | None] = {}
    for output in outputs:
        kept = cache / dvc_lock.place(output.oid)
        listing = kept.read_bytes() if output.is_folder and kept.is_file() else None
        if output.is_folder and listing is None:
            continue
        files = _listed(output, listing)
        found |= {cache / dvc_lock.place(oid): path for path, oid in files.items()}
        if output.is_folder:
            found[kept] = None
    root = case.root.resolve()
    return {file: _below(root, home / path) if path else None for file, path in found.items() if file.is_file()}


def _below(root: Path, file: Path) -> str | None:
    """Return a path relative to the output root; None: another root's, such as the default benchmark's."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else None


def _listed(output: dvc_lock.Output, listing: bytes | None) -> dict[str, str]:
    try:
        return output.files(listing)
    except (ValueError, KeyError, TypeError):
        return {}  # a damaged listing is found by its own md5


def _cache(case: Case, objects: dict[Path, str | None]) -> Iterator[Finding | Note]:
    stated = {
        f"{Path(ref.path).parent.as_posix()}/{name}": (ref, digest)
        for ref, _, receipt in case.of()
        for name, digest in receipt["made"].items()
    }
    for file, path in objects.items():
        md5 = case.digests.of(file, "md5")
        name = (file.parent.name + file.name).removesuffix(".dir")
        ref, digest = stated.get(path or "", (None, None))
        if md5 != name:
            why = f"the object of {path or 'a listing'} in the DVC cache is damaged; remove it and `shiftbench pull`"
            told = {"file": str(file), "expected": name, "found": str(md5)}
            yield case.failed(ref or str(file), why, **told)
        elif digest and ref and case.digests.of(file) != digest:
            why = "dvc.lock records other bytes than its receipt states; `make record` records these"
            found = str(case.digests.of(file))
            yield case.failed(ref, why, file=str(path), expected=digest, found=found)
    if objects:
        yield Note(f"{len(objects)} objects of the DVC cache")
    else:
        yield Note("the DVC cache was not looked at: nothing that dvc.lock names is in one here")


# ------------------------------------------------------------------ what is not here


def _absent(case: Case) -> Iterator[Finding]:
    """Tell once per kind of what is planned and was not read."""
    missing: dict[tuple[str, bool], list[Ref]] = {}
    for ref in case.plan.artifacts:
        if case.state(ref) == "absent" and ref.kind not in _UNVERSIONED:
            missing.setdefault((ref.kind, ref.local), []).append(ref)
    for (kind, local), refs in missing.items():
        cure = "a licence forbids to pass them on" if local else "`shiftbench pull` brings them"
        why = f"{len(refs)} {kind} that are planned are not here, so their bytes were not read; {cure}"
        yield case.incomplete(refs[0], why)
