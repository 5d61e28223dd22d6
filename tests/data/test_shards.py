"""Shards: byte-identical, readable by others, and no damaged byte is ever used."""

import gc
import hashlib
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset

from shiftbench.base.errors import ChecksumError, DataError, DuplicateKeyError
from shiftbench.base.sample import Sample
from shiftbench.data import formats, sample_bytes, shards

FIELDS = {"image": "png", "mask": "mask.png", "label": "cls", "meta": "json"}
ABOUT = {"dataset": "tiny", "split": "test", "classes": ["a", "b"], "task": "classification"}


def sample(number: int, key: str | None = None) -> Sample:
    image = (np.arange(12 * 9, dtype=np.uint8).reshape(12, 9) * (number + 3)).astype(np.uint8)
    fields = {"image": image, "label": number % 2, "meta": {"group": f"g{number}"}}
    return Sample(key or f"tiny/test/{number:04d}", fields)


SAMPLES = [sample(number) for number in range(7)]


def written(folder: Path, samples: list[Sample] = SAMPLES, max_bytes: int = 10_300) -> Path:
    folder.mkdir()
    shards.write(iter(samples), folder, FIELDS, ABOUT, max_bytes)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    first = content(written(tmp_path / "a"))
    before = os.umask(0o077)
    try:
        assert content(written(tmp_path / "b")) == first
    finally:
        os.umask(before)


def test_bytes_are_the_recorded_ones(tmp_path: Path) -> None:
    """Under the lock, on x86-64 Linux; the pixel digest holds for any version of the libraries."""
    manifest = shards.manifest(written(tmp_path / "a"))
    assert manifest["pixels"] == "6c9a5619edbadb8b531c2dae3348091c10d0ef4caacafd93dc738d5c432aabf5"
    assert [facts["sha256"][:16] for facts in manifest["tars"].values()] == [
        "8f4f9a10d0d09e4d",
        "9ecc00328bce233b",
        "328c42a34fa337c1",
    ]


def test_no_field_of_a_tar_header_tells_when_or_who(tmp_path: Path) -> None:
    with tarfile.open(written(tmp_path / "a") / "000000.tar") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
    each = [f"tiny/test/000{number}.{end}" for number in range(3) for end in ("png", "cls", "json")]
    assert [m.name for m in members] == each  # by key, then by field: image, label, meta


def test_what_was_written_is_read_in_key_order(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    assert len(shards.manifest(folder)["tars"]) == 3
    read = list(shards.read(folder))
    assert [s.key for s in read] == [s.key for s in SAMPLES]
    for one, other in zip(read, SAMPLES, strict=True):
        np.testing.assert_array_equal(one.fields["image"], other.fields["image"])
        assert one.fields["label"] == other.fields["label"]
        assert one.fields["meta"] == other.fields["meta"]
    assert [set(s.fields) for s in shards.read(folder, ["label"])] == [{"label"}] * 7


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    urls = sorted(str(path) for path in folder.glob("*.tar"))
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode("l8"))
    assert [item["__key__"] for item in found] == [s.key for s in SAMPLES]
    assert [item["cls"] for item in found] == [s.fields["label"] for s in SAMPLES]
    np.testing.assert_array_equal(found[3]["png"], SAMPLES[3].fields["image"])
    gc.collect()  # webdataset leaves files open; said here, not in a later test


def test_no_samples_is_an_empty_tar(tmp_path: Path) -> None:
    folder = written(tmp_path / "a", [])
    assert list(shards.read(folder)) == []
    assert shards.manifest(folder)["samples"] == 0
    with tarfile.open(folder / "000000.tar") as tar:
        assert tar.getmembers() == []


def test_index_tells_where_a_sample_lies(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    for entry, one in zip(shards.index(folder), SAMPLES, strict=True):
        data = (folder / entry.tar).read_bytes()[entry.offset : entry.offset + entry.size]
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        assert data.startswith(f"{one.key}.png\0".encode())


def test_a_damaged_sample_is_refused_by_name_before_it_is_used(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    entry = shards.index(folder)[4]
    flip(folder / entry.tar, entry.offset + entry.size - 600)
    reader = shards.read(folder)
    assert [next(reader).key for _ in range(4)] == [s.key for s in SAMPLES[:4]]
    with pytest.raises(ChecksumError, match=rf"{entry.tar}: sample 'tiny/test/0004' is damaged.*shiftbench repair"):
        next(reader)
    assert any("'tiny/test/0004' is damaged" in line for line in shards.find_damage(folder))


def test_damage_between_samples_is_found_at_the_end_of_the_tar(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    flip(folder / "000000.tar", (folder / "000000.tar").stat().st_size - 1)
    with pytest.raises(ChecksumError, match=r"000000.tar is not the tar that the manifest names"):
        list(shards.read(folder))
    assert shards.find_damage(folder) == [f"{folder / '000000.tar'}: sha256 is not the recorded one"]


def test_missing_and_changed_files_are_refused_by_name(tmp_path: Path) -> None:
    folder = written(tmp_path / "a")
    (folder / "000001.tar").unlink()
    with pytest.raises(
        DataError,
        match=r"000001.tar is missing; `shiftbench pull` .*stream: REMOTE.* rebuild it with `shiftbench repair",
    ):
        list(shards.read(folder))
    flip(folder / "index.parquet", 100)
    with pytest.raises(ChecksumError, match=r"index.parquet is not the file that the manifest names"):
        list(shards.read(folder))
    with pytest.raises(DataError, match=r"no shards in .*nowhere: manifest.json is missing; run `shiftbench pull`"):
        shards.manifest(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([sample(1), sample(1)], DuplicateKeyError, "two samples have the key 'tiny/test/0001'"),
        ([sample(2), sample(1)], DataError, "'tiny/test/0001' comes after 'tiny/test/0002'"),
        ([sample(1, "tiny/a.b")], DataError, "key 'tiny/a.b' holds a dot; WebDataset ends a key"),
        ([sample(1, "k" * 300)], DataError, "is too long for a tar header; shorten it"),
        ([sample(1).with_field("depth", 1)], DataError, "tiny/test/0001: field 'depth' is not one of"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, samples: list[Sample], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        written(tmp_path / "a", samples)


def test_long_keys_use_the_prefix_of_the_header(tmp_path: Path) -> None:
    key = f"tiny/{'d' * 90}/{'k' * 60}"
    folder = written(tmp_path / "a", [sample(1, key)])
    assert [one.key for one in shards.read(folder)] == [key]
    with tarfile.open(folder / "000000.tar") as tar:
        assert tar.getnames()[1] == f"{key}.cls"


def test_manifest_states_what_is_inside(tmp_path: Path) -> None:
    manifest = json.loads((written(tmp_path / "a") / "manifest.json").read_text())
    assert manifest["samples"] == sum(facts["samples"] for facts in manifest["tars"].values()) == 7
    assert manifest["classes"] == ["a", "b"]
    assert manifest["fields"] == FIELDS


@pytest.mark.parametrize("name", ["a/b/0.png", "a/" + "k" * 90 + ".mask.png", "a" * 60 + "/" + "b" * 60])
@pytest.mark.parametrize("size", [0, 1, 511, 8**7 + 5])
def test_headers_are_those_of_the_standard_library(name: str, size: int) -> None:
    theirs = tarfile.TarInfo(name)
    theirs.size = size
    assert sample_bytes.header(name.encode(), size) == theirs.tobuf(tarfile.USTAR_FORMAT)


def test_a_key_that_no_header_can_hold_is_refused() -> None:
    with pytest.raises(DataError, match=r"is too long for a tar header; shorten it"):
        sample_bytes.header(b"k" * 300, 1)


def test_the_index_is_the_declared_format() -> None:
    assert shards._INDEX_SCHEMA.names == list(formats.INDEX.arrow.names)
    assert shards._INDEX_SCHEMA.types == formats.INDEX.arrow.types
