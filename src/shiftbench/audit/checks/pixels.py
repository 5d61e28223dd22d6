"""Samples decode to the recorded pixels, whichever image library encoded the files.

Pass rule: the chain of the index's pixel digests is `pixels` in the manifest, and in the receipts of all records of
these shards. Drawn samples of each folder, and all samples of a file with other bytes, decode to the pixel digests of
the index. Correct pixels in other bytes mean another encoder, not other data.

Limits: samples that were neither drawn nor in a damaged file are not decoded here. Records whose shift was applied
while reading state the digest of pixels that are not stored; level 2 checks these.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import shard_folders
from shiftbench.audit.evidence.byte_differences import explain, packed
from shiftbench.audit.evidence.tar_members import members
from shiftbench.audit.finding import Finding, Note
from shiftbench.base.errors import ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards
from shiftbench.data.shards import Entry

NUMBER, LEVEL = "A12", 1
_FINDINGS = 20  # samples of a folder that are named one by one


def check(case: Case) -> Iterator[Finding | Note]:
    """Compare chains, then decode."""
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
        if count <= _FINDINGS:
            file = tar.relative_to(case.root).as_posix()
            why = "it does not decode to the recorded pixels: the data differ, not only their encoding"
            place = {"file": file, "sample": entry.key, "expected": entry.pixels, "found": actual}
            explanation = explain(case, ref, file, entry.key)
            yield case.failed(ref, why, explanation=explanation, **place)
    if count > _FINDINGS:
        yield case.failed(ref, f"{count - _FINDINGS} more samples do not decode to the recorded pixels")


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
