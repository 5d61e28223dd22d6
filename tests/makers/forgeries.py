"""Forgeries: they change an output of a made benchmark and all digests, so that only a deeper check detects them.

Each function takes the output root and an output, changes one thing, and calls `update`, as a careful forger does.
Nothing is made again. Only `flip` leaves the digests unchanged.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from safetensors import safe_open

from shiftbench.base.files import sha256, write_json
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.data import dataset_card, row_digests, shards
from shiftbench.provenance import recipe

Samples = Callable[[list[Sample]], Iterable[Sample]]
Frames = Callable[[pl.DataFrame], pl.DataFrame]


def flip(file: Path, at: int | None = None) -> None:
    """Flip a bit of a byte (default: the middle one); size and time stamps stay."""
    stat, data = file.stat(), bytearray(file.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def update(root: Path, ref: Ref, *more: str) -> None:
    """Write the digests of an output into its receipt, and into all receipts that consumed it.

    Args:
        root: the output root.
        ref: the output.
        more: names of further files that its receipt shall state.
    """
    folder, own = (root / ref.path).parent, recipe.receipt_path(root, ref)
    content = json.loads(own.read_bytes())
    content["made"] = {name: sha256(folder / name) for name in [*content["made"], *more]}
    tables = [name for name in content["made"] if name.endswith(".parquet")]
    content["rows"] = {name: row_digests.of(folder / name) for name in tables}
    write_json(own, content)
    for file in root.rglob("*.receipt.json"):
        child = json.loads(file.read_bytes())
        if ref.path in child["consumed"]:
            child["consumed"][ref.path] = content["made"][Path(ref.path).name]
            facts = child.get("facts", {})
            if "pixels" in facts and ref.kind == "shards" and "shift" not in child["recipe"]:
                facts["pixels"] = shards.manifest(folder)["pixels"]
            write_json(file, child)


def swap(root: Path, one: Ref, other: Ref) -> None:
    """Exchange the files of two outputs, not their receipts."""
    files = [_files(root, ref) for ref in (one, other)]
    data = [[file.read_bytes() for file in own] for own in files]
    for own, foreign in zip(files, reversed(data), strict=True):
        for file, content in zip(own, foreign, strict=True):
            file.write_bytes(content)
    for ref in (one, other):
        update(root, ref)


def _files(root: Path, ref: Ref) -> list[Path]:
    made = json.loads(recipe.receipt_path(root, ref).read_bytes())["made"]
    return [(root / ref.path).with_name(name) for name in sorted(made)]


# ------------------------------------------------------------------ shards


def samples(root: Path, ref: Ref, change: Samples, **facts: object) -> None:
    """Write other samples into one tar, as the stage would, and replace facts of the manifest."""
    folder = (root / ref.path).parent
    about = shards.manifest(folder) | facts
    shards.write(change(list(shards.read(folder))), folder, about["fields"], about, 1 << 40)
    _card(folder)
    update(root, ref)


def sample(root: Path, ref: Ref, key: str, **fields: Any) -> None:
    """Replace fields of one sample."""

    def change(samples_before: list[Sample]) -> list[Sample]:
        return [Sample(s.key, s.fields | fields) if s.key == key else s for s in samples_before]

    samples(root, ref, change)


def tar(root: Path, ref: Ref, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of the tar; the digests of samples in the index follow, their places stay."""
    file = (root / ref.path).with_name(shards.TAR.format(0))
    data = change(file.read_bytes())
    file.write_bytes(data)

    def digest(row: dict[str, int]) -> str:
        return hashlib.sha256(data[row["offset"] : row["offset"] + row["size"]]).hexdigest()

    place = pl.struct("offset", "size")
    index(root, ref, lambda f: f.with_columns(sha256=place.map_elements(digest, pl.String)))


def index(root: Path, ref: Ref, change: Frames) -> None:
    """Change the index; the manifest's digests of it, of its pixels and of the tars follow."""
    folder = (root / ref.path).parent
    file = folder / shards.INDEX
    _write(file, change)
    links = pl.read_parquet(file, columns=["key", "pixels"]).rows()
    tars = shards.manifest(folder)["tars"]
    for name, facts in tars.items():
        facts |= {"sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
    chain = hashlib.sha256(b"".join(shards.link(*link) for link in links)).hexdigest()
    manifest(root, ref, tars=tars, index=sha256(file), pixels=chain)


def manifest(root: Path, ref: Ref, **facts: object) -> None:
    """Replace facts of a manifest."""
    folder = (root / ref.path).parent
    write_json(root / ref.path, shards.manifest(folder) | facts)
    _card(folder)
    update(root, ref)


# ------------------------------------------------------------------ tables


def row(number: int) -> pl.Expr:
    """Pick a row by its number, for `cell`."""
    return pl.int_range(pl.len()) == number


def table(root: Path, ref: Ref, change: Frames, name: str = "") -> None:
    """Change the rows of a table, in any way that its columns allow; default: the output itself."""
    _write((root / ref.path).with_name(name or Path(ref.path).name), change)
    update(root, ref)


def cell(root: Path, ref: Ref, picked: pl.Expr, name: str = "", **values: pl.Expr) -> None:
    """Change columns of the rows that an expression picks."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            pl.when(picked).then(value).otherwise(column).cast(frame[column].dtype).alias(column)
            for column, value in values.items()
        )

    table(root, ref, change, name)


def _card(folder: Path) -> None:
    """Write the card of a manifest again, where one is left from which a card follows."""
    if (folder / dataset_card.CARD).is_file():
        with contextlib.suppress(KeyError, TypeError, AttributeError):
            dataset_card.write(folder)


def _write(file: Path, change: Frames) -> None:
    """Write a table past the checks of its format."""
    with pq.ParquetFile(file) as parquet:
        old, facts = parquet.read(), parquet.metadata.metadata or {}
    frame = pl.from_arrow(old)
    assert isinstance(frame, pl.DataFrame)
    new: pa.Table = change(frame).to_arrow().cast(old.schema)
    kept = {key: value for key, value in facts.items() if key != b"ARROW:schema"}
    with pq.ParquetWriter(file, new.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(new)
        writer.add_key_value_metadata(kept)


# ------------------------------------------------------------------ checkpoints, report


def checkpoint(root: Path, ref: Ref, change: Callable[[dict, dict], object]) -> None:
    """Change tensors (NumPy, by name) and metadata of a checkpoint in place."""
    file = root / ref.path
    with safe_open(file, framework="np") as opened:
        state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        facts = dict(opened.metadata() or {})
    change(state, facts)
    safetensors.numpy.save_file(state, file, facts)
    update(root, ref)


def text(root: Path, ref: Ref, name: str, old: str, new: str) -> None:
    """Replace the first place of a text in a file beside an output."""
    file = (root / ref.path).with_name(name)
    content = file.read_text()
    assert old in content, f"{old!r} is not in {name}"
    file.write_text(content.replace(old, new, 1))
    update(root, ref)
