"""Checks of bytes: digests of all files, pixels of samples, and an explanation of each difference."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import shard_folders
from shiftbench.audit.evidence.byte_differences import explain, packed
from shiftbench.audit.evidence.tar_members import members
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, pins, places, shards, source_files
from shiftbench.data.shards import Entry
from shiftbench.workflow.storage import dvc_config, dvc_lock

_SAMPLES = 20  # damaged samples of a tar or a folder that are named one by one
_UNVERSIONED = ("features", "sources")  # a cache, and what others keep: absent in every clone


@dataclass(frozen=True, slots=True)
class Stated:
    """A file, the sha256 that is stated for it, and the source of that statement."""

    ref: Ref
    file: Path
    sha256: str
    by: str


@check("A10", level=1)
def digests(case: Case) -> Iterator[Finding | Note]:
    """Every file has the sha256 that the evidence states: outputs, source files, pinned files, DVC's cache.

    Pass rule: these files have the recorded sha256: each file of a receipt, each tar and index of a manifest, each
    source file of its manifest and of its declaration in sources/, and each pinned file. Each object of the DVC cache
    that dvc.lock names has the md5 of its name, and is the file that the receipt states. A finding names the damaged
    samples of a tar. All bytes are read, each once. Time stamps, sizes and DVC's state are not used.

    Limits: equal digests do not prove that the recipe gives these bytes; levels 2 and 3 check that. Remotes are not
    read.
    """
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
            file = _name(case, one.file)
            why = f"{one.by} names it, and it is missing; `shiftbench pull` or `shiftbench repair {file}` restores it"
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
            actual, expected = case.digests.of(pins.file_of(name, entry)), entry["sha256"]
            if actual is None:
                why = f"{pins.LOCK} names it, and it is missing; restore it"
                yield case.incomplete(ref, why, file=name, expected=expected)
            elif actual != expected:
                why = f"it is not the file that {pins.LOCK} states; restore that file, or pin this one and run again"
                yield case.failed(ref, why, file=name, expected=expected, found=actual)
    yield Note(f"{len(pinned)} pinned files or folders")


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
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged listing is found by its own md5
            files |= {cache / dvc_lock.place(oid): path for path, oid in output.files(listing).items()}
        if output.is_folder:
            files[object_file] = None
    root = case.root.resolve()
    # A path below another root, such as the default benchmark's, is None.
    own = {file: home / path for file, path in files.items() if path and (home / path).is_relative_to(root)}
    return {file: own[file].relative_to(root).as_posix() if file in own else None for file in files if file.is_file()}


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


@check("A12", level=1)
def pixels(case: Case) -> Iterator[Finding | Note]:
    """Samples decode to the recorded pixels, whichever image library encoded the files.

    Pass rule: the chain of the index's pixel digests is `pixels` in the manifest, and in the receipts of all records of
    these shards. Drawn samples of each folder, and all samples of a file with other bytes, decode to the pixel digests
    of the index. Correct pixels in other bytes mean another encoder, not other data.

    Limits: samples that were neither drawn nor in a damaged file are not decoded here. Records whose shift was applied
    while reading state the digest of pixels that are not stored; level 2 checks these.
    """
    decoded = folders = 0
    chains: dict[str, str] = {}
    for ref, _, _ in case.outputs("shards"):
        manifest, entries = shard_folders.manifest(case, ref), shard_folders.entries(case, ref)
        if manifest is None or entries is None:
            continue  # a finding of `archives`
        chains[ref.name] = manifest["pixels"]
        yield from _chain(case, ref, manifest, entries)
        drawn = [entry for entry in _drawn_samples(case, ref, entries) if (case.folder(ref) / entry.tar).is_file()]
        yield from _decoded(case, ref, manifest, drawn)
        decoded, folders = decoded + len(drawn), folders + 1
    yield Note(f"{decoded} samples of {folders} folders decoded")
    yield from _evaluated(case, chains)


def _chain(case: Case, ref: Ref, manifest: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    chain = hashlib.sha256(b"".join(shards.link(e.key, e.pixels) for e in entries)).hexdigest()
    why = "the manifest's pixel digest is not that of the samples in the index"
    yield from case.expect(ref, why, manifest["pixels"], chain)
    why = "the manifest counts other samples than the index"
    yield from case.expect(ref, why, f"{manifest['samples']} samples", f"{len(entries)} samples")


def _drawn_samples(case: Case, ref: Ref, entries: list[Entry]) -> list[Entry]:
    """Drawn samples, and all samples of files with other bytes than the recorded ones."""
    at = set(case.draw(f"pixels/{ref.path}", len(entries), case.count))
    damaged = {file for of, file, _ in case.mismatches if of == ref}
    folder = case.folder(ref).relative_to(case.root).as_posix()
    return [entry for number, entry in enumerate(entries) if number in at or f"{folder}/{entry.tar}" in damaged]


def _decoded(case: Case, ref: Ref, manifest: dict[str, Any], drawn: list[Entry]) -> Iterator[Finding]:
    fields = {extension: name for name, extension in manifest["fields"].items()}
    count = 0
    for entry in drawn:
        tar = case.folder(ref) / entry.tar
        actual = _pixels(packed(tar, entry), entry.key, fields)
        if actual == entry.pixels:
            continue
        count += 1
        if count <= _SAMPLES:
            file = tar.relative_to(case.root).as_posix()
            why = "it does not decode to the recorded pixels: the data differ, not only their encoding"
            place = {"file": file, "sample": entry.key, "expected": entry.pixels, "found": actual}
            explanation = explain(case, ref, file, entry.key)
            yield case.failed(ref, why, explanation=explanation, **place)
    if count > _SAMPLES:
        yield case.failed(ref, f"{count - _SAMPLES} more samples do not decode to the recorded pixels")


def _pixels(data: bytes, key: str, fields: dict[str, str]) -> str:
    """Pixel digest of packed bytes, or why there is none."""
    try:
        parts = [(part.extension(key), part.data) for part in members(data)]
        values = {fields[name]: codecs.decode(name, body) for name, body in parts}
    except (KeyError, ShiftbenchError) as error:
        return f"undecodable: {error}"
    return shards.pixels(Sample(key, values))


def _evaluated(case: Case, chains: dict[str, str]) -> Iterator[Finding | Note]:
    """Compare the pixel digests in receipts of records with those of the shards."""
    compared = reading = 0
    for ref, _, receipt in case.outputs("records", "features"):
        name = receipt["recipe"].get("data")
        stated = (receipt.get("facts") or {}).get("pixels")
        if "shift" in receipt["recipe"]:
            reading += 1
        elif name in chains:
            compared += 1
            why = f"the pixels that were evaluated are not those of the shards {name}; evaluate again"
            yield from case.expect(ref, why, chains[name], stated, file=f"{ref.path}.receipt.json")
    yield Note(
        f"{compared} receipts of records and features state the pixels of their shards; {reading} were shifted while "
        "they were read, and level 2 checks them"
    )


@check("A18", level=2)
def explanation(case: Case) -> Iterator[Finding | Note]:
    """Each difference of bytes is explained: which member, sample and pixels, and what differs in the environment.

    Pass rule: for each mismatch of another check, the file and in shards the sample are here and can be read. The note
    says which member differs, how many pixels differ and by how much, against the sample that level 2 made again.
    Without such a sample, it says whether the bytes decode to the recorded pixels. It also names the libraries, codecs
    and CPU features that differ from the run file. Role model: diffoscope.

    Limits: it cannot say who changed a byte.
    """
    for ref, file, keys in case.mismatches:
        for key in keys or (None,):
            explanation = explain(case, ref, file, key)
            if "unexplained" in explanation:
                yield case.failed(ref, explanation["unexplained"], file=file, sample=key)
            else:
                place = f"{file}: sample {key!r}" if key else file
                yield Note(f"{place}: " + "; ".join(f"{name} {explanation[name]}" for name in explanation))
    if not case.mismatches:
        yield Note("no check found other bytes than the recorded ones, so there is nothing to explain")
