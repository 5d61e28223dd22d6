from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isolation import ROOT
from shiftbench.base.errors import DuplicateKeyError, RangeError, SchemaError
from shiftbench.data import formats, row_digests, schema

INDEX = schema.table(
    [{"key": f"a/{i}", "tar": "000000.tar", "offset": i, "size": 1, "sha256": "0", "pixels": "0"} for i in range(5)],
    formats.INDEX,
)


def test_document_is_current() -> None:
    page = ROOT / "docs" / "formats.md"
    assert page.read_text() == schema.document(), "docs/formats.md is generated: write schema.document() to it"


@pytest.mark.parametrize("form", formats.FORMATS, ids=lambda form: form.name)
def test_every_format_is_declared_whole(form: formats.Format, tmp_path: Path) -> None:
    assert set(form.key) <= set(form.names)
    assert len(set(form.names)) == len(form.names)
    assert all(column.meaning for column in form.columns)
    assert schema.of(pa.schema(list(form.arrow))) is form
    assert schema.find_format(form.name) is form
    schema.write(form.arrow.empty_table(), tmp_path / "empty.parquet", "f")
    assert schema.read(tmp_path / "empty.parquet").schema.equals(form.arrow)


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    order = pa.array(np.random.default_rng(0).permutation(5))
    chunked = pa.concat_tables([INDEX.take(order).slice(0, 2), INDEX.take(order).slice(2)])
    shuffled = chunked.select(INDEX.column_names[::-1]).replace_schema_metadata({"pandas": "noise"})
    for name, table in (("a", INDEX), ("b", shuffled)):
        schema.write(table, tmp_path / name, "f")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert schema.read(tmp_path / "b").equals(INDEX)


def test_metadata_holds_format_version_and_fingerprint_only(tmp_path: Path) -> None:
    schema.write(INDEX, tmp_path / "a", "abc")
    assert pq.read_metadata(tmp_path / "a").metadata == {
        b"shiftbench.format": b"index",
        b"shiftbench.version": b"1",
        b"shiftbench.fingerprint": b"abc",
    }


def test_null_keys_sort_last_and_are_equal(tmp_path: Path) -> None:
    row = dict.fromkeys(formats.REPLICATES.key, "x") | {"severity": 1.0, "step": None, "draws": [1.0, None]}
    rows = [row, row | {"group": None}]
    schema.write(schema.table(rows[::-1], formats.REPLICATES), tmp_path / "a", "f")
    assert schema.read(tmp_path / "a").column("group").to_pylist() == ["x", None]
    with pytest.raises(DuplicateKeyError, match=r"two rows have the key x/.*; replicates needs unique keys"):
        schema.write(schema.table([rows[1], rows[1]], formats.REPLICATES), tmp_path / "a", "f")


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.parquet"
    with pytest.raises(SchemaError, match=r"bad.parquet: column 'offset' of index: expected int64, found string"):
        schema.write(INDEX.set_column(2, "offset", pa.array(list("12345"))), file, "f")
    with pytest.raises(
        SchemaError, match=r"no format has the columns key, .*; index is nearest, they differ in pixels"
    ):
        schema.write(INDEX.drop_columns(["pixels"]).replace_schema_metadata(), file, "f")
    with pytest.raises(SchemaError, match=r"column 'pixels' of index is missing"):
        schema.write(INDEX.drop_columns(["pixels"]), file, "f", formats.INDEX)
    with pytest.raises(SchemaError, match=r"column 'tar' of row a/1 is null"):
        schema.write(INDEX.set_column(1, "tar", pa.array(["t", None, "t", "t", "t"])), file, "f")
    with pytest.raises(RangeError, match=r"size of row a/2 is -4; expected >= 0"):
        schema.write(INDEX.set_column(3, "size", pa.array([1, 1, -4, 1, 1])), file, "f")
    with pytest.raises(DuplicateKeyError, match=r"two rows have the key a/3; index needs unique keys"):
        schema.write(pa.concat_tables([INDEX, INDEX.slice(3, 1)]), file, "f")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "foreign.parquet"
    pq.write_table(INDEX, file)
    with pytest.raises(SchemaError, match=r"foreign.parquet: expected formats of version 1, found none"):
        schema.read(file)
    schema.write(INDEX, file, "f")
    with pytest.raises(SchemaError, match=r"foreign.parquet: column 'step' of log is missing"):
        schema.read(file, form=formats.LOG)
    with pytest.raises(SchemaError, match=r"expected a column 'nll_e9', found index, which has key, tar"):
        schema.read(file, ["nll_e9"])
    with pytest.raises(SchemaError, match=r"no format is named 'indx' \(did you mean index\?\)"):
        schema.find_format("indx")


def test_training_log(tmp_path: Path) -> None:
    schema.write(schema.training_log([(1, "loss", 0.5), (0, "loss", 1.0)]), tmp_path / "log", "f")
    assert schema.read(tmp_path / "log").column("value").to_pylist() == [1.0, 0.5]


def test_row_digest_sees_values_and_not_their_spelling(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "key": ["a", "b", None],
            "hit": [True, None, False],
            "many": pa.array([[1.5, None], [], None], pa.list_(pa.float32())),
        }
    )
    pq.write_table(rows, tmp_path / "one.parquet", compression="snappy")
    pq.write_table(rows, tmp_path / "two.parquet", compression="zstd", row_group_size=1)
    digest = row_digests.of(tmp_path / "one.parquet")
    assert digest == row_digests.of(tmp_path / "two.parquet")
    for other in (
        rows.set_column(0, "key", pa.array(["a", "b", ""])),
        rows.set_column(0, "key", pa.array(["ab", "", None])),
        rows.set_column(1, "hit", pa.array([True, False, False])),
        rows.set_column(2, "many", pa.array([[1.5], [None], None], pa.list_(pa.float32()))),
        rows.rename_columns(["key", "hit", "most"]),
    ):
        pq.write_table(other, tmp_path / "other.parquet")
        assert row_digests.of(tmp_path / "other.parquet") != digest
