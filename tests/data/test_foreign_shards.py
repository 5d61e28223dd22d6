"""Shards of somebody else's, with digests that agree: whatever they hold, reading ends with a sample or a DataError."""

import hashlib
import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import codecs, shards

FIELDS = {"image": "png", "label": "cls", "meta": "json"}
ABOUT: dict[str, Any] = {
    "task": "classification", "classes": ["a"], "dataset": "t", "split": "test", "shift": "fog", "severity": 0.5,
    "licence": "CC0", "citation": "-", "redistribute": True, "skipped": [],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    image = np.arange(108, dtype=np.uint8).reshape(12, 9)
    samples = (Sample(f"t/{n}", {"image": image, "label": n, "meta": {}}) for n in range(3))
    shards.write(samples, folder, FIELDS, ABOUT, 1 << 20)
    return folder


def seal(folder: Path, change: Callable[[dict[str, list[Any]]], object] = lambda _: None) -> None:
    """Make all digests agree with what lies there, as whoever forges shards does; `change` edits the index."""
    columns = pq.read_table(folder / "index.parquet").to_pydict()
    tar = (folder / "000000.tar").read_bytes()
    places = zip(columns["offset"], columns["size"], strict=True)
    columns["sha256"] = [hashlib.sha256(tar[at : at + size]).hexdigest() for at, size in places]
    change(columns)
    pq.write_table(pa.table(columns), folder / "index.parquet")
    about = json.loads((folder / "manifest.json").read_text())
    about["index"] = hashlib.sha256((folder / "index.parquet").read_bytes()).hexdigest()
    about["tars"]["000000.tar"] |= {"sha256": hashlib.sha256(tar).hexdigest(), "bytes": len(tar)}
    (folder / "manifest.json").write_text(json.dumps(about))


def overwrite(folder: Path, at: int, data: bytes) -> None:
    with (folder / "000000.tar").open("r+b") as tar:
        tar.seek(at)
        tar.write(data)
    seal(folder)


def test_shards_whose_digests_agree_are_read(folder: Path) -> None:
    seal(folder)
    assert [sample.key for sample in shards.read(folder)] == ["t/0", "t/1", "t/2"]


@pytest.mark.parametrize("size", [b"-0000002000", b"77777777777", b"-1         ", b"           ", b"9999999999x"])
def test_a_size_that_leads_elsewhere_ends_the_reading(folder: Path, size: bytes) -> None:
    overwrite(folder, 124, size)
    with pytest.raises(DataError, match=r"'t/0'"):
        list(shards.read(folder))


def test_drawn_headers_end_the_reading(folder: Path) -> None:
    """Any bytes in any header: reading ends, with samples or with a DataError."""
    rng = np.random.default_rng(0)
    whole = (folder / "000000.tar").read_bytes()
    ended = 0
    for _ in range(60):
        (folder / "000000.tar").write_bytes(whole)
        at = 512 * int(rng.integers(len(whole) // 512)) + int(rng.choice([0, 124, 345]))
        overwrite(folder, at, rng.choice(list(b"\0-07 /.a\xff"), 12).astype(np.uint8).tobytes())
        try:
            list(shards.read(folder))
        except DataError:
            ended += 1
    assert 10 < ended < 60


@pytest.mark.parametrize("name", ["/dev/zero", "../000000.tar", "", ".", "a/b.tar", "\0", None])
def test_a_tar_of_the_index_is_a_file_of_its_folder(folder: Path, name: str | None) -> None:
    seal(folder, lambda columns: columns.update(tar=[name] * 3))
    with pytest.raises(DataError, match=r"index\.parquet"):
        list(shards.read(folder))


@pytest.mark.parametrize("name", ["/dev/zero", "../000000.tar", "", ".", "a/b.tar", "\0"])
def test_a_tar_of_the_manifest_is_a_file_of_its_folder(folder: Path, name: str) -> None:
    about = json.loads((folder / "manifest.json").read_text())
    about["tars"][name] = about["tars"].pop("000000.tar")
    (folder / "manifest.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="no manifest of shards"):
        shards.manifest(folder)


@pytest.mark.parametrize("make", [lambda file: file.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir])
def test_what_never_ends_is_no_tar(folder: Path, make: Callable[[Path], object]) -> None:
    (folder / "000000.tar").unlink()
    make(folder / "000000.tar")
    for read in (lambda: list(shards.read(folder)), lambda: shards.Lookup(folder)[0]):
        with pytest.raises(DataError, match="no regular file"):
            read()


@pytest.mark.parametrize(
    "change",
    [{"offset": [-512] * 3}, {"size": [-1] * 3}, {"size": ["many"] * 3}, {"key": [None] * 3}, {"offset": [None] * 3}],
)
def test_a_place_before_the_tar_is_refused(folder: Path, change: dict[str, list[Any]]) -> None:
    seal(folder, lambda columns: columns.update(change))
    with pytest.raises(DataError, match=r"index\.parquet"):
        shards.Lookup(folder)


def test_a_size_takes_no_more_memory_than_the_tar_has(folder: Path) -> None:
    seal(folder, lambda columns: columns.update(size=[1 << 40] * 3))
    with pytest.raises(DataError, match="damaged"):
        shards.Lookup(folder)[0]


OTHERS = (None, True, "text", [7], [None], {"a": 1}, {"000000.tar": {"sha256": ""}})
"""Values of which only one, or a part of one, is of a fact's own type."""


def write(folder: Path, about: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps(about))


@pytest.mark.parametrize("fact", [*ABOUT, "fields", "samples", "tars", "index", "pixels"])
def test_a_fact_that_is_missing_or_of_another_type_is_named(folder: Path, fact: str) -> None:
    about = shards.manifest(folder)
    refusal = rf"manifest\.json is no manifest of shards: .*'{fact}'"
    write(folder, {name: value for name, value in about.items() if name != fact})
    with pytest.raises(DataError, match=refusal):
        shards.manifest(folder)[fact]
    for other in OTHERS:
        write(folder, {**about, fact: other})
        if not isinstance(other, bool | str) or type(other) is not type(about[fact]):
            with pytest.raises(DataError, match=refusal):
                shards.manifest(folder)


def test_a_tar_of_the_index_is_one_of_the_manifest(folder: Path) -> None:
    write(folder, {**shards.manifest(folder), "tars": {}})
    with pytest.raises(DataError, match=r"index\.parquet: a tar is none of the folder's"):
        list(shards.read(folder))


def test_a_folder_without_index_is_told(folder: Path) -> None:
    (folder / "index.parquet").unlink()
    with pytest.raises(DataError, match=r"index\.parquet is missing"):
        list(shards.read(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", "[" * 99999, '{"fields": [], "tars": {}}', "\xff"])
def test_what_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text, encoding="latin1")
    with pytest.raises(DataError, match="no manifest of shards"):
        list(shards.read(folder))


def png(width: int, height: int) -> bytes:
    """A small file of a large image, all of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (1, 80_000_001), (2**31 - 1, 1)])
def test_an_image_too_large_is_refused_before_memory_is_taken(width: int, height: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"{width} x {height} pixels"):
            codecs.decode("png", png(width, height))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
