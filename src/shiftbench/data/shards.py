"""Shards: WebDataset tars with a manifest and an index, byte-identical by construction.

A folder of shards contains `000000.tar` ..., `index.parquet` (one row per sample: key, tar, offset, size,
sha256, pixel digest) and `manifest.json` (counts, sha256 of each tar and of the index, classes,
licence). Any WebDataset reader can read the tars; `read` also checks each sample against the index
before it is used, and each tar at its end.

Tar members are sorted by key, then by field, with fixed metadata (mtime 0, mode 0644, owner 0), in
the ustar format without compression.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from shiftbench.base.errors import ChecksumError, DataError, DuplicateKeyError, yaml_text
from shiftbench.base.files import stays_below
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, parquet_limits, sample_bytes
from shiftbench.data.sample_bytes import BLOCK

END = bytes(2 * BLOCK)
BUFFER = 1 << 20
TAR = "{:06d}.tar"
MANIFEST, INDEX = "manifest.json", "index.parquet"
_LARGEST_MANIFEST, _LARGEST_ENTRY = 1 << 28, 1 << 16
"""Largest number of bytes of a manifest, and of a sample's row in the index."""

_INDEX_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("tar", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
        ("pixels", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Entry:
    """The place of one sample: tar, byte offset, size, the sha256 of these bytes, its pixel digest."""

    key: str
    tar: str
    offset: int
    size: int
    sha256: str
    pixels: str


def write(
    samples: Iterable[Sample], folder: Path, fields: dict[str, str], about: dict[str, Any], max_bytes: int
) -> list[str]:
    """Write shards into an empty folder.

    Args:
        samples: in ascending order of their keys, so that they can be streamed.
        folder: exists and is empty.
        fields: payload field -> extension inside the tar, from the task.
        about: facts for the manifest (dataset, split, shift, severity, classes, licence, ...).
        max_bytes: a new tar is begun before this size would be passed.

    Returns:
        The names of the files that were written.

    Raises:
        DuplicateKeyError: two samples have one key.
        DataError: keys out of order, a key with a dot, or a field without extension.
    """
    entries: list[Entry] = []
    packed = ((sample.key, sample_bytes.pack(sample, fields), pixels(sample)) for sample in _ordered(samples))
    tars: dict[str, dict[str, Any]] = {}
    for number, group in groupby(_numbered(packed, max_bytes), key=itemgetter(0)):
        file = folder / TAR.format(number)
        tars[file.name], rows = _write_tar(file, (item for _, item in group))
        entries += rows
    if not tars:
        tars[TAR.format(0)], _ = _write_tar(folder / TAR.format(0), [])
    _write_index(folder / INDEX, entries)
    manifest = {
        **about,
        "fields": fields,
        "samples": len(entries),
        "tars": tars,
        "index": hashlib.sha256((folder / INDEX).read_bytes()).hexdigest(),
        "pixels": hashlib.sha256(b"".join(link(e.key, e.pixels) for e in entries)).hexdigest(),
    }
    (folder / MANIFEST).write_text(manifest_text(manifest))
    return [*tars, INDEX, MANIFEST]


def manifest_text(about: dict[str, Any]) -> str:
    """The text of a manifest's file."""
    return json.dumps(about, sort_keys=True, indent=1) + "\n"


def _ordered(samples: Iterable[Sample]) -> Iterator[Sample]:
    last = ""
    for sample in samples:
        if sample.key == last:
            raise DuplicateKeyError(f"two samples have the key {sample.key!r}; keys must be unique")
        if sample.key < last:
            raise DataError(f"sample {sample.key!r} comes after {last!r}; shards are written in key order")
        if "." in sample.key:
            raise DataError(f"key {sample.key!r} holds a dot; WebDataset ends a key at its first dot")
        last = sample.key
        yield sample


def pixels(sample: Sample) -> str:
    """Digest of a sample's decoded payload, independent of any codec."""
    hasher = hashlib.sha256()
    for field in sorted(sample.fields):
        hasher.update(f"{field}={codecs.pixel_digest(sample.fields[field])};".encode())
    return hasher.hexdigest()[:32]


def link(key: str, digest: str) -> bytes:
    """Contribution of one sample to the chained pixel digest of its folder."""
    return f"{key} {digest}\n".encode()


def chained_digest(folder: Path) -> str:
    """Sha256 over the key and the pixel digest of each sample, in key order, as decoded now.

    It is the manifest's `pixels`, and the digest of the evaluated data in the receipt of records,
    whether its samples were stored or shifted while they were read.

    Raises:
        ChecksumError: as `read`.
    """
    chain = hashlib.sha256()
    for sample in read(folder):
        chain.update(link(sample.key, pixels(sample)))
    return chain.hexdigest()


Packed = tuple[str, bytes, str]


def _numbered(packed: Iterable[Packed], max_bytes: int) -> Iterator[tuple[int, Packed]]:
    """Yield each sample with the number of its tar."""
    size = number = 0
    for item in packed:
        if size and size + len(item[1]) + len(END) > max_bytes:
            size, number = 0, number + 1
        size += len(item[1])
        yield number, item


def _write_tar(file: Path, packed: Iterable[Packed]) -> tuple[dict[str, Any], list[Entry]]:
    """Write a tar sample by sample; returns its facts for the manifest, and its rows of the index."""
    hasher, rows, size = hashlib.sha256(), [], 0
    with file.open("wb", buffering=BUFFER) as stream:
        for key, data, digest in packed:
            sample_digest = hashlib.sha256(data).hexdigest()
            rows.append(Entry(key, file.name, size, len(data), sample_digest, digest))
            hasher.update(data)
            stream.write(data)
            size += len(data)
        hasher.update(END)
        stream.write(END)
    facts = {"sha256": hasher.hexdigest(), "bytes": size + len(END), "samples": len(rows)}
    return facts, rows


def _write_index(file: Path, entries: list[Entry]) -> None:
    columns = {name: [getattr(entry, name) for entry in entries] for name in _INDEX_SCHEMA.names}
    pq.write_table(pa.table(columns, schema=_INDEX_SCHEMA), file, compression="zstd", store_schema=False)


class Manifest(dict[str, Any]):
    """Facts of a manifest; reading a missing fact is an error that names the fact and the file."""

    def __init__(self, content: dict[str, Any], file: Path) -> None:
        super().__init__(content)
        self._file = file

    def __missing__(self, fact: str) -> NoReturn:
        raise DataError(f"{self._file} is no manifest of shards: it states no {fact!r}; {_cure(self._file.parent)}")


def manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a folder of shards.

    Raises:
        DataError: it is missing, or no manifest of shards; names the fact that is missing or of another type.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise DataError(f"no shards in {folder}: manifest.json is missing; run `shiftbench pull` or `make run`")
    try:
        content = json.loads(_bytes_of(file, _LARGEST_MANIFEST))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError(f"{file} is no manifest of shards: no JSON object; {_cure(folder)}")
    about = Manifest(content, file)
    for fact in (*_ALWAYS, *about):
        if fact in _FACTS and not _FACTS[fact](about[fact]):
            raise DataError(f"{file} is no manifest of shards: {fact!r} is {yaml_text(about[fact])}; {_cure(folder)}")
    return about


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_fields(value: object) -> bool:
    return isinstance(value, dict) and _are_texts([*value.values()])


def _are_tars(value: object) -> bool:
    return isinstance(value, dict) and all(is_tar(name) and _is_tar(facts) for name, facts in value.items())


def _is_tar(facts: object) -> bool:
    kinds = {"sha256": str, "bytes": int, "samples": int}
    return isinstance(facts, dict) and all(type(facts.get(name)) is kind for name, kind in kinds.items())


_ALWAYS = ("fields", "samples", "tars", "index", "pixels")
"""Facts that `write` adds."""
_FACTS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("index", "pixels", "task", "dataset", "split", "shift", "licence", "citation"), _is(str)),
    **dict.fromkeys(("classes", "skipped"), _are_texts),
    "samples": _is(int),
    "redistribute": _is(bool),
    "severity": _is(int, float),
    "fields": _are_fields,
    "tars": _are_tars,
}
"""Facts of manifests, each with the check of its value."""


def is_tar(name: object) -> bool:
    """Whether a name can be that of a tar in its own folder, and of nothing outside it."""
    return stays_below(name) and "/" not in str(name)


def index(folder: Path) -> list[Entry]:
    """Read the index, checked against the manifest.

    Raises:
        ChecksumError: the index is not the one that the manifest names.
        DataError: it has other columns, or names other tars than the folder's.
    """
    about = manifest(folder)
    try:
        data = _bytes_of(folder / INDEX, _LARGEST_ENTRY * (1 + about["samples"]))
    except FileNotFoundError:
        raise DataError(f"{folder / INDEX} is missing; {_cure(folder)}") from None
    if hashlib.sha256(data).hexdigest() != about["index"]:
        raise ChecksumError(f"{folder / INDEX} is not the file that the manifest names; {_cure(folder)}")
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            parquet_limits.check(parquet, folder / INDEX)
            if parquet.metadata.num_rows != about["samples"]:
                raise ValueError(f"{parquet.metadata.num_rows} rows, not {about['samples']}")
            table = parquet.read()
        columns = table.select(_INDEX_SCHEMA.names).cast(_INDEX_SCHEMA).to_pydict()
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise DataError(f"{folder / INDEX} is no index of shards: {error}") from None
    if any(table.column(name).null_count for name in ("key", "tar", "offset", "size")):
        raise DataError(f"{folder / INDEX}: a sample has no place; {_cure(folder)}")
    if not about["tars"].keys() >= set(columns["tar"]):
        raise DataError(f"{folder / INDEX}: a tar is none of the folder's; {_cure(folder)}")
    if min((*columns["offset"], *columns["size"]), default=0) < 0:
        raise DataError(f"{folder / INDEX}: a sample lies before its tar; {_cure(folder)}")
    return list(map(Entry, *(columns[name] for name in _INDEX_SCHEMA.names)))


def read(folder: Path, fields: Iterable[str] | None = None, keys: Container[str] | None = None) -> Iterator[Sample]:
    """Yield the samples of a folder of shards in key order, each checked before it is yielded.

    Args:
        folder: holds manifest.json.
        fields: which payload fields to decode; default: all.
        keys: which samples; default: all.

    Raises:
        ChecksumError: a sample's or a tar's bytes are not the recorded ones; names both.
    """
    about = manifest(folder)
    fields_by_extension = {ext: name for name, ext in about["fields"].items() if fields is None or name in set(fields)}
    by_tar: dict[str, list[Entry]] = {}
    for entry in index(folder):
        by_tar.setdefault(entry.tar, []).append(entry)
    for tar, entries in by_tar.items():
        data = memoryview(_tar_bytes(folder, tar))
        for entry in entries:
            if keys is not None and entry.key not in keys:
                continue
            yield Sample(entry.key, _unpack(_checked(folder, data, entry), entry.key, fields_by_extension))
        if hashlib.sha256(data).hexdigest() != about["tars"][tar]["sha256"]:
            raise ChecksumError(f"{folder / tar} is not the tar that the manifest names; {_cure(folder, tar)}")


class Lookup:
    """The samples of a folder of shards by their numbers, in key order, each read and checked on access.

    It serves data larger than memory. Unlike `read`, it does not check whole tars; of a tar that is not here, all bytes
    are fetched for each sample.

    Args:
        folder: holds manifest.json.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._entries = folder, index(folder)
        self._by_extension = {ext: name for name, ext in manifest(folder)["fields"].items()}

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._entries)

    def __getitem__(self, number: int) -> Sample:
        """One sample.

        Raises:
            ChecksumError: its bytes are not the recorded ones.
        """
        entry = self._entries[number]
        data = memoryview(self._bytes(entry))
        part = _checked(self._folder, data, dataclasses.replace(entry, offset=0))
        return Sample(entry.key, _unpack(part, entry.key, self._by_extension))

    def _bytes(self, entry: Entry) -> bytes:
        try:
            with _regular(self._folder / entry.tar).open("rb") as tar:
                tar.seek(entry.offset)
                return tar.read(min(entry.size, os.fstat(tar.fileno()).st_size))
        except FileNotFoundError:
            whole = _tar_bytes(self._folder, entry.tar)
            return whole[entry.offset : entry.offset + entry.size]


class Elsewhere:
    """Source of the tars that are not here; none, unless `streaming` sets one."""

    read: ClassVar[Callable[[Path, str], bytes] | None] = None
    name: ClassVar[str] = ""

    @classmethod
    def set(cls, read: Callable[[Path, str], bytes] | None, name: str) -> None:
        """Read tars that are not here by `read`; messages name their source as `name`."""
        cls.read, cls.name = read, name


def _tar_bytes(folder: Path, tar: str) -> bytes:
    try:
        return _bytes_of(folder / tar, manifest(folder)["tars"][tar]["bytes"])
    except FileNotFoundError:
        if Elsewhere.read is not None:
            return Elsewhere.read(folder, tar)
        raise DataError(
            f"{folder / tar} is missing; `shiftbench pull` brings it, `shards: {{stream: REMOTE}}` in params.yaml "
            f"reads it from there; or {_cure(folder)}"
        ) from None


def _bytes_of(file: Path, most: int) -> bytes:
    """Bytes of a file.

    Raises:
        DataError: it has too many bytes, or it is no file.
    """
    with _regular(file).open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > most:
            raise DataError(f"{file} has {size} bytes, and may have {most}; {_cure(file.parent, file.name)}")
        return stream.read(most + 1)


def _regular(file: Path) -> Path:
    """The path, if it is of a regular file: reading a device or a pipe may never end."""
    if file.exists() and not file.is_file():
        raise DataError(f"{file} is no regular file; remove it, and pull it again")
    return file


def _checked(folder: Path, data: memoryview, entry: Entry) -> memoryview:
    part = data[entry.offset : entry.offset + entry.size]
    if hashlib.sha256(part).hexdigest() != entry.sha256:
        raise ChecksumError(
            f"{folder / entry.tar}: sample {entry.key!r} is damaged (its bytes do not have the recorded sha256); "
            f"{_cure(folder, entry.tar)}"
        )
    return part


def _cure(folder: Path, tar: str = INDEX) -> str:
    if Elsewhere.read is not None and not (folder / tar).exists():
        return f"it was read from {Elsewhere.name}; push it there again, or read it from another remote"
    return f"rebuild it with `shiftbench repair {folder}`"


def _unpack(data: memoryview, key: str, by_extension: dict[str, str]) -> dict[str, Any]:
    """Decode the wanted members of one sample; `by_extension` maps extensions to fields.

    Raises:
        DataError: a header is invalid, or its member is longer than the sample.
    """
    fields: dict[str, Any] = {}
    start, name_start = 0, len(key) + 1
    while start < len(data):
        try:
            name, size = _header(data[start : start + BLOCK])
        except ValueError as error:  # no number, no UTF-8
            raise DataError(f"sample {key!r}: no header of a tar: {error}") from None
        if not 0 <= size <= len(data) - start - BLOCK:  # a negative size would be an endless loop
            raise DataError(f"sample {key!r}: member {name!r} states a size of {size} bytes")
        extension = name[name_start:]
        if extension in by_extension:
            body = bytes(data[start + BLOCK : start + BLOCK + size])
            fields[by_extension[extension]] = codecs.decode(extension, body)
        start += BLOCK + size + (-size % BLOCK)
    return fields


def _header(block: memoryview) -> tuple[str, int]:
    name = bytes(block[:100]).rstrip(b"\0").decode()
    prefix = bytes(block[345:500]).rstrip(b"\0").decode()
    return (f"{prefix}/{name}" if prefix else name), int(bytes(block[124:135]), 8)


def find_damage(folder: Path) -> list[str]:
    """Problems of a folder of shards, one line each; empty if all bytes are as recorded."""
    problems: list[str] = []
    try:
        entries = index(folder)
    except DataError as error:
        return [str(error)]
    for tar, facts in manifest(folder)["tars"].items():
        try:
            data = memoryview(_tar_bytes(folder, tar))
        except DataError as error:
            problems.append(str(error))
            continue
        for entry in (entry for entry in entries if entry.tar == tar):
            try:
                _checked(folder, data, entry)
            except ChecksumError as error:
                problems.append(str(error))
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            problems.append(f"{folder / tar}: sha256 is not the recorded one")
    return problems
