"""Check of archives: tars are in canonical form, and folders contain only files that a receipt names."""

import mmap
import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from shiftbench.audit.case import Case
from shiftbench.audit.check import check
from shiftbench.audit.evidence import shard_folders
from shiftbench.audit.evidence.tar_members import headers, name_of
from shiftbench.audit.finding import Finding, Note
from shiftbench.base import registry
from shiftbench.base.errors import DataError, ShiftbenchError
from shiftbench.base.refs import Ref
from shiftbench.data import dataset_card, sample_bytes, shards
from shiftbench.data.dataset_card import CARD
from shiftbench.data.sample_bytes import BLOCK
from shiftbench.data.shards import END, Entry
from shiftbench.workflow.plan.prune import OUTS
from shiftbench.workflow.storage import dvc_config, dvc_lock

_BESIDE = (".receipt.json", ".run.json")
_OWN = ("results/report/audit.html", "results/report/audit.json", "results/report/audit.svg")
"""What the audit itself writes."""
_MADE = {
    "checkpoints": ("{0}", "{0}.log.parquet"),
    "features": ("{0}", "{1}.logits.npy"),
    "shards": ("manifest.json", "index.parquet"),
}
_COMPARED = ("tables", "claims", "report")
"""Kinds that are made again, names included, by `aggregates` and `figures`."""


@check("A11", level=1)
def archives(case: Case) -> Iterator[Finding | Note]:
    """Tars are in canonical form, and folders of outputs contain only files that a receipt names.

    Pass rule: a tar contains the samples of the index in key order, back to back from byte 0, each with the task's
    fields in order. Headers are ustar with mtime 0, owner 0 and mode 0644. Padding is zeros, two zero blocks are the
    end, and nothing follows them. So no member can hide, and no time of writing shows. In the store (shards,
    checkpoints, results), each file belongs to a planned output, and no name is hidden. Each file is a plain file or a
    symbolic link that DVC made (`cache.type` allows links), which leads to the object that dvc.lock records for this
    path. An index has no metadata in addition to its columns. The card of a folder of shards, if there is one, follows
    from the manifest.

    Limits: only headers, padding and names are checked here; `digests` checks the bytes between.
    """
    tars = members = 0
    for ref, _, _ in case.outputs("shards"):
        manifest, entries = shard_folders.manifest(case, ref), shard_folders.entries(case, ref)
        if manifest is None or entries is None:
            why = f"its manifest or its index cannot be read; `shiftbench repair {ref.path}` makes it again"
            yield case.failed(ref, why)
            continue
        yield from _order(case, ref, manifest, entries)
        yield from _index(case, ref)
        for name in manifest["tars"]:
            inside = [entry for entry in entries if entry.tar == name]
            findings = _tar(case, ref, case.folder(ref) / name, inside, manifest["fields"])
            tars, members = tars + 1, members + len(inside)
            yield from findings
    yield Note(f"{tars} tars with {members} samples checked for the canonical form")
    yield from _stated_files(case)
    yield from _cards(case)
    yield from _store(case)


# ------------------------------------------------------------------ tars


def _order(case: Case, ref: Ref, manifest: dict[str, Any], entries: list[Entry]) -> Iterator[Finding]:
    """Check the order of samples and tars, and that the index knows no other tar than the manifest."""
    for one, two in pairwise(entries):
        if one.key >= two.key or one.tar > two.tar:
            why, order = "the index is not in the order of keys and tars", f"after {one.key!r}"
            yield case.failed(ref, why, sample=two.key, expected=order, found=two.key)
            break
    if manifest["fields"] != registry.find("tasks", manifest["task"]).FIELDS:
        why = "the manifest names other fields than those of the task"
        yield case.failed(ref, why, found=str(manifest["fields"]))
    unknown = sorted({entry.tar for entry in entries} - manifest["tars"].keys())
    if unknown:
        yield case.failed(ref, f"the index names the tar {unknown[0]}, the manifest does not")
    if sorted(manifest["tars"]) != [shards.TAR.format(i) for i in range(len(manifest["tars"]))]:
        why = "the numbers of its tars have a gap"
        yield case.failed(ref, why, found=", ".join(sorted(manifest["tars"])[:4]))


def _index(case: Case, ref: Ref) -> Iterator[Finding]:
    """Check that an index has columns only: its metadata could contain anything."""
    file = case.folder(ref) / shards.INDEX
    metadata = pq.read_metadata(file).metadata or {}
    if metadata:
        why = "the index holds metadata, which no stage writes"
        place, names = file.relative_to(case.root).as_posix(), b", ".join(sorted(metadata))
        yield case.failed(ref, why, file=place, expected="none", found=names.decode(errors="replace"))


def _tar(case: Case, ref: Ref, tar: Path, entries: list[Entry], fields: dict[str, str]) -> Iterator[Finding]:
    if not tar.is_file():
        return  # a finding of `digests`
    file = tar.relative_to(case.root).as_posix()
    with tar.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if not size:
            yield case.failed(ref, "the tar is empty", file=file)
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            wrong = _walk(data, entries, [fields[name] for name in sorted(fields)])
    if wrong:
        key, why = wrong
        why = f"{why}; `shiftbench repair {file}` makes it again"
        yield case.failed(ref, why, file=file, sample=key)


def _walk(data: mmap.mmap, entries: list[Entry], extensions: list[str]) -> tuple[str | None, str] | None:
    """First sample that is not in canonical form, and why; None where all are."""
    at = 0
    for entry in entries:
        if entry.offset != at:
            return (entry.key, f"the index places it at byte {entry.offset}, the sample before ends at {at}")
        end = at + entry.size
        why = _sample(data, at, end, entry.key, extensions)
        if why:
            return entry.key, why
        at = end
    if data[at : at + len(END)] != END:
        name = name_of(data[at : at + BLOCK])
        return None, f"its last sample is followed by {name!r} instead of two empty blocks"
    if len(data) != at + len(END):
        return None, f"{len(data) - at - len(END)} bytes follow its end"
    return None


def _sample(data: mmap.mmap, at: int, end: int, key: str, extensions: list[str]) -> str | None:
    """First part of a sample that is not canonical; None: all of it is."""
    last = -1
    try:
        for header in headers(data, at, end):
            if header.block != sample_bytes.header(header.name.encode(), header.size):
                why = "is not the canonical one (time, owner, mode or format)"
                return f"the header of {header.name!r} at byte {at} {why}"
            stem, extension = header.name[: len(key) + 1], header.name[len(key) + 1 :]
            if stem != f"{key}." or extension not in extensions:
                return f"the member {header.name!r} does not belong to the sample"
            if extensions.index(extension) <= last:
                return f"the member {header.name!r} is not in the order of fields, or twice"
            if data[header.end : header.next].strip(b"\0"):
                return f"the padding after {header.name!r} is not empty"
            last, at = extensions.index(extension), header.next
    except (ValueError, ShiftbenchError):
        return f"there is no header at byte {at}"
    return None if at == end else "its members do not end where the index says"


# ------------------------------------------------------------------ the store


def _stated_files(case: Case) -> Iterator[Finding]:
    """Check that receipts state exactly the files of such an output: another file could contain anything."""
    for ref, _, receipt in case.outputs():
        made = set(receipt["made"])
        path = Path(ref.path)
        usual = {name.format(path.name, path.stem) for name in _MADE.get(ref.kind, ("{0}",))}
        if ref.kind == "shards":
            usual |= (shard_folders.manifest(case, ref) or {}).get("tars", {}).keys()
            usual |= made & {CARD}  # older shards have none
        if ref.kind not in _COMPARED and made != usual:
            why = "its receipt names other files than such an output has"
            file = f"{ref.path}.receipt.json"
            names = ", ".join(sorted(made))
            yield case.failed(ref, why, file=file, expected=", ".join(sorted(usual)), found=names)


def _cards(case: Case) -> Iterator[Finding]:
    """Compare the cards of folders of shards with what follows from the manifests."""
    for ref, _, receipt in case.outputs("shards"):
        file, about = case.folder(ref) / CARD, shard_folders.manifest(case, ref)
        if CARD not in receipt["made"] or about is None or not file.is_file():
            continue
        try:
            expected = dataset_card.head(about)
        except (KeyError, TypeError, AttributeError):
            continue  # no manifest that a stage writes, which `coverage` finds
        if not file.read_bytes().startswith(expected.encode()):
            why = f"its card does not follow from its manifest; `shiftbench repair {ref.path}` makes it again"
            yield case.failed(ref, why, file=f"{Path(ref.path).parent}/{CARD}", expected=expected)


def _store(case: Case) -> Iterator[Finding | Note]:
    """Check every name in the store."""
    planned = _planned_names(case)
    links = _links(case)
    count = 0
    for out in sorted({out for outs in OUTS.values() for out in outs}):
        yield from _elsewhere(case, out)
        for folder, names, files in os.walk(case.root / out):
            below = Path(folder).relative_to(case.root).as_posix()
            linked = [name for name in names if (Path(folder) / name).is_symlink()]
            for name in sorted([*files, *linked]):
                count += 1
                why = _stray(Path(folder) / name, f"{below}/{name}", planned, links)
                if why:
                    yield case.failed(f"{below}/{name}", why)
    yield Note(f"{count} files in the store")


def _elsewhere(case: Case, out: str) -> Iterator[Finding]:
    """Yield the folders above an output that are links: another run may have made their contents."""
    for place in (Path(out), *Path(out).parents[:-1]):
        link = case.root / place
        if link.is_symlink() and place.parts[0] != "data":
            why = f"this folder of outputs is a symbolic link to {link.readlink()}: put a folder there"
            yield case.failed(place.as_posix(), why, expected="a folder", found="a symbolic link")


def _stray(path: Path, name: str, planned: set[str], links: dict[Path, Path]) -> str | None:
    """Flaw of a file of the store; None: it has none."""
    kind = path.lstat().st_mode
    if stat.S_ISLNK(kind) and links.get(path.absolute()) != _normal(path.absolute().parent / path.readlink()):
        return f"a symbolic link to {path.readlink()}, which DVC did not make: `shiftbench pull` restores it"
    if not stat.S_ISLNK(kind) and not stat.S_ISREG(kind):
        return "no file: a pipe, a socket or a device, which gives other bytes to each reader; remove it"
    if name in planned or name in _OWN:
        return None
    if path.name.endswith(".part") or "/.part-" in name:
        return "a part of a killed run; `shiftbench doctor` lists such files, and the next run removes them"
    if path.name.startswith("."):
        return "a hidden file that no planned output has; remove it"
    return "no planned output has this file; `shiftbench prune` moves it to .trash/"


def _planned_names(case: Case) -> set[str]:
    """Names that planned outputs may have: what receipts say was made, receipts and run files."""
    names = set()
    for ref in case.plan.artifacts:
        folder = Path(ref.path).parent.as_posix()
        made = (case.receipt(ref) or {}).get("made", ())
        names |= {ref.path, *(f"{ref.path}{suffix}" for suffix in _BESIDE)}
        names |= {f"{folder}/{name}" for name in made}
    return names


def _normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _links(case: Case) -> dict[Path, Path]:
    try:
        links = dvc_lock.links(dvc_config.home_of(case.root))
    except (DataError, ValueError, KeyError, TypeError):  # nothing recorded, or a damaged listing
        return {}
    return {path.absolute(): _normal(kept) for path, kept in links.items()}
