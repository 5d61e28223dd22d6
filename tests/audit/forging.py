"""Forgeries: an output is changed and all digests are updated to match, so that only a deeper check can tell.

Each function changes one thing and then calls `receipt`, which digests the output again and carries the digest
into the receipts of what was made from it, as somebody does who wants to be believed. Nothing is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from safetensors import safe_open

from shiftbench import recipe, schema, shards
from shiftbench.plan import Plan
from shiftbench.recipe import sha256
from shiftbench.refs import Ref
from shiftbench.sample import Sample

Frames = Callable[[pl.DataFrame], pl.DataFrame]


def receipt(root: Path, plan: Plan, ref: Ref, *more: str) -> None:
    """Digest an output again and tell all that consumed it.

    Args:
        root: the output root.
        plan: of the campaign.
        ref: the output.
        more: names of further files that the receipt shall state.
    """
    folder, own = (root / ref.path).parent, recipe.receipt_path(root, ref)
    content = json.loads(own.read_bytes())
    names = [*content["made"], *more]
    content["made"] = {name: sha256(folder / name) for name in names if (folder / name).is_file()}
    tables = [name for name in content["made"] if name.endswith(".parquet")]
    content["rows"] = {name: schema.row_digest(folder / name) for name in tables}
    recipe.write_json(own, content)
    digest = content["made"][Path(ref.path).name]
    for child, cell in plan.cells.items():
        if ref in cell.inputs and recipe.receipt_path(root, child).is_file():
            _consumed(root, ref, child, digest)


def _consumed(root: Path, ref: Ref, child: Ref, digest: str) -> None:
    file = recipe.receipt_path(root, child)
    content = json.loads(file.read_bytes())
    content["consumed"][ref.path] = digest
    facts = content.get("facts", {})
    if ref.kind == "shards" and "pixels" in facts and "shift" not in content["recipe"]:
        facts["pixels"] = shards.manifest((root / ref.path).parent)["pixels"]
    recipe.write_json(file, content)


# ------------------------------------------------------------------ shards


def samples(
    root: Path, plan: Plan, ref: Ref, change: Callable[[list[Sample]], list[Sample]]
) -> None:
    """Write other samples into one tar, as the stage would."""
    folder = (root / ref.path).parent
    about = shards.manifest(folder)
    written = ("fields", "samples", "tars", "index", "pixels")
    kept = {name: value for name, value in about.items() if name not in written}
    shards.write(change(list(shards.read(folder))), folder, about["fields"], kept, 1 << 40)
    receipt(root, plan, ref)


def sample(root: Path, plan: Plan, ref: Ref, key: str, **fields: Any) -> None:
    """Replace fields of one sample."""

    def change(found: list[Sample]) -> list[Sample]:
        return [Sample(s.key, s.fields | fields) if s.key == key else s for s in found]

    samples(root, plan, ref, change)


def tar(
    root: Path, plan: Plan, ref: Ref, change: Callable[[bytes], bytes], name: str = "000000.tar"
) -> None:
    """Change the bytes of a tar; the digests of samples in the index follow, their places stay."""
    folder = (root / ref.path).parent
    data = change((folder / name).read_bytes())
    (folder / name).write_bytes(data)

    def digested(frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.to_dicts()
        for row in rows:
            if row["tar"] == name:
                part = data[row["offset"] : row["offset"] + row["size"]]
                row["sha256"] = hashlib.sha256(part).hexdigest()
        return pl.DataFrame(rows, schema=frame.schema)

    index(root, plan, ref, digested)


def index(root: Path, plan: Plan, ref: Ref, change: Frames) -> None:
    """Change the index; the manifest's digest of it and of the tars follow."""
    folder = (root / ref.path).parent
    _write(folder / shards.INDEX, change)
    about = shards.manifest(folder)
    tars = {
        name: {**facts, "sha256": sha256(folder / name), "bytes": (folder / name).stat().st_size}
        for name, facts in about["tars"].items()
    }
    manifest(root, plan, ref, tars=tars, index=sha256(folder / shards.INDEX))


def manifest(root: Path, plan: Plan, ref: Ref, **facts: Any) -> None:
    """Change facts of a manifest."""
    file = root / ref.path
    recipe.write_json(file, json.loads(file.read_bytes()) | facts)
    receipt(root, plan, ref)


# ------------------------------------------------------------------ tables


def table(root: Path, plan: Plan, ref: Ref, change: Frames, name: str = "") -> None:
    """Change the rows of a table, in any way that its columns allow; default: the output itself."""
    _write((root / ref.path).with_name(name or Path(ref.path).name), change)
    receipt(root, plan, ref)


def cell(root: Path, plan: Plan, ref: Ref, row: pl.Expr, name: str = "", **values: pl.Expr) -> None:
    """Change columns of the rows that an expression picks."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            **{
                column: pl.when(row).then(value).otherwise(pl.col(column)).cast(frame[column].dtype)
                for column, value in values.items()
            }
        )

    table(root, plan, ref, change, name)


def _write(file: Path, change: Frames) -> None:
    with pq.ParquetFile(file) as parquet:
        old, facts = parquet.read(), parquet.metadata.metadata or {}
    frame = pl.from_arrow(old)
    assert isinstance(frame, pl.DataFrame)
    new: pa.Table = change(frame).to_arrow().cast(old.schema)
    kept = {key: value for key, value in facts.items() if key != b"ARROW:schema"}
    with pq.ParquetWriter(file, new.schema, store_schema=False) as writer:
        writer.write_table(new)
        writer.add_key_value_metadata(kept)


# ------------------------------------------------------------------ weights, report


def weights(root: Path, plan: Plan, ref: Ref, change: Callable[[dict, dict], object]) -> None:
    """Change tensors (NumPy, by name) and metadata of weights in place."""
    file = root / ref.path
    with safe_open(file, framework="np") as opened:
        state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        facts = dict(opened.metadata() or {})
    change(state, facts)
    safetensors.numpy.save_file(state, file, facts)
    receipt(root, plan, ref)


def text(root: Path, plan: Plan, ref: Ref, name: str, old: str, new: str) -> None:
    """Replace the first place of a text in a file beside an output."""
    file = (root / ref.path).with_name(name)
    content = file.read_text()
    assert old in content, f"{old!r} is not in {name}"
    file.write_text(content.replace(old, new, 1))
    receipt(root, plan, ref)
