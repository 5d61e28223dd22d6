"""Tables, shards and packages of strangers: what states or has too much is one clear error."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shiftbench.base.errors import DataError, FetchError, SchemaError
from shiftbench.base.sample import Sample
from shiftbench.data import archives, parquet_limits, providers, schema, shards
from shiftbench.data.formats import LOG

ROWS = [(step, "loss", step / 7) for step in range(500)]


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Return bytes of which some are changed, or that are cut off."""
    found = bytearray(data)
    for _ in range(int(random.integers(1, 8))):
        found[int(random.integers(len(found)))] = int(random.integers(256))
    return bytes(found[: int(random.integers(len(found)))] if random.random() < 0.3 else found)


def test_damaged_tables_are_one_clear_error(tmp_path: Path) -> None:
    file, random = tmp_path / "log.parquet", np.random.default_rng(3)
    said: list[str] = []
    schema.write(schema.training_log(ROWS), file, "0" * 64)
    good = file.read_bytes()
    for _ in range(150):
        file.write_bytes(damaged(good, random))
        try:
            schema.read(file, form=LOG)
        except SchemaError as error:
            said.append(str(error))
    assert len(said) > 50
    assert all(str(file) in text for text in said)


def test_a_table_that_states_too_much_is_not_read(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "log.parquet"
    schema.write(schema.training_log([(n, "loss", 0.0) for n in range(50_000)]), file, "0" * 64)
    assert len(schema.read(file)) == 50_000
    monkeypatch.setattr(parquet_limits, "LARGEST", 1_000_000)
    with pytest.raises(SchemaError, match="states a table of 1200000 bytes, and may have 1000000"):
        schema.read(file)


def written(folder: Path) -> Path:
    samples = [Sample(f"k{n}", {"image": np.full((4, 4), n, np.uint8), "label": n}) for n in range(9)]
    folder.mkdir()
    fields = {"image": "png", "label": "cls"}
    shards.write(samples, folder, fields, {"dataset": "a", "split": "test"}, 10_000)
    return folder


def longer_tar(folder: Path) -> None:
    with (folder / "000000.tar").open("ab") as tar:
        tar.truncate(1 << 40)  # without a byte on the disk


def more_rows(folder: Path) -> None:
    table = pq.read_table(folder / "index.parquet")
    pq.write_table(pa.concat_tables([table] * 50), folder / "index.parquet", compression="zstd")
    restated(folder)


def longer_index(folder: Path) -> None:
    with (folder / "index.parquet").open("ab") as file:
        file.truncate(1 << 40)


def longer_manifest(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(1 << 40)


def restated(folder: Path) -> None:
    """State the sha256 of the index as it is."""
    about = json.loads((folder / "manifest.json").read_text())
    about["index"] = shards.hashlib.sha256((folder / "index.parquet").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(about))


@pytest.mark.parametrize("grow", [longer_tar, more_rows, longer_index, longer_manifest])
def test_shards_that_have_more_than_they_state_are_not_read(tmp_path: Path, grow: Callable[[Path], None]) -> None:
    folder = written(tmp_path / "shards")
    assert len(list(shards.read(folder))) == 9
    grow(folder)
    with pytest.raises(DataError, match=str(folder)):
        list(shards.read(folder))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kind", ["path", "comment", "linkname"])
def test_a_header_of_a_package_cannot_be_endless(tmp_path: Path, pack: Callable[[bytes], bytes], kind: str) -> None:
    for size, whole in ((1_000, True), (archives.HEADER * 2, False)):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
            member = tarfile.TarInfo("a/b.txt")
            member.size, member.pax_headers = 3, {kind: "a/" + "b" * size}
            archive.addfile(member, io.BytesIO(b"abc"))
        package = tmp_path / "package.tar"
        package.write_bytes(pack(data.getvalue()))
        if whole:
            assert [stream.read() for _, stream in providers._members(package)] == [b"abc"]
        else:
            with pytest.raises(FetchError, match="a header of the archive has more than 262144 bytes"):
                list(providers._members(package))
