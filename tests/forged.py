"""Forgeries: shards, records and previews of a made campaign are changed, and every digest is updated to match."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa

from shiftbench import plugins, recipe, schema, shards
from shiftbench.refs import Ref
from shiftbench.sample import Sample


def update(root: Path, ref: Ref) -> None:
    """Write the digests of an output into its receipt, and into all receipts that consumed it."""
    own = recipe.receipt_path(root, ref)
    content = json.loads(own.read_text())
    folder = (root / ref.path).parent
    content["made"] = {name: recipe.sha256(folder / name) for name in content["made"]}
    content["rows"] = {name: schema.row_digest(folder / name) for name in content["rows"]}
    own.write_text(json.dumps(content))
    digest = content["made"][Path(ref.path).name]
    for file in root.rglob("*.receipt.json"):
        other = json.loads(file.read_text())
        if ref.path in other["consumed"]:
            other["consumed"][ref.path] = digest
            file.write_text(json.dumps(other))


def samples(
    root: Path, ref: Ref, change: Callable[[list[Sample]], Iterable[Sample]], **facts: object
) -> None:
    """Write a folder of shards anew, with other samples, and facts of its manifest replaced."""
    folder = (root / ref.path).parent
    about = {**shards.manifest(folder), **facts}
    changed = change(list(shards.read(folder)))
    derived = ("fields", "samples", "tars", "index", "pixels")
    told = {name: value for name, value in about.items() if name not in derived}
    new = folder.with_name("new")
    new.mkdir()
    shards.write(changed, new, plugins.find("tasks", about["task"]).FIELDS, told, 10**9)
    for file in new.iterdir():
        shutil.move(file, folder / file.name)
    new.rmdir()
    update(root, ref)


def rows(root: Path, ref: Ref, change: Callable[[list[dict]], list[dict]]) -> None:
    """Write a table anew, with other rows."""
    file = root / ref.path
    table = schema.read(file)
    changed = pa.Table.from_pylist(change(table.to_pylist()), schema=table.schema)
    fingerprint = json.loads(recipe.receipt_path(root, ref).read_text())["fingerprint"]
    schema.write(changed, file, fingerprint)
    update(root, ref)


def swap(root: Path, one: Ref, other: Ref) -> None:
    """Exchange the files of two outputs, not their receipts."""
    for name in _files(root, one):
        a, b = _place(root, one, name), _place(root, other, name)
        data = a.read_bytes(), b.read_bytes()
        a.write_bytes(data[1])
        b.write_bytes(data[0])
    for ref in (one, other):
        update(root, ref)


def _files(root: Path, ref: Ref) -> list[str]:
    made = json.loads(recipe.receipt_path(root, ref).read_text())["made"]
    return [name.replace(Path(ref.path).name, "*") for name in made]


def _place(root: Path, ref: Ref, name: str) -> Path:
    return (root / ref.path).parent / name.replace("*", Path(ref.path).name)


def manifest(root: Path, ref: Ref, **facts: object) -> None:
    """Replace facts of a manifest of shards."""
    file = root / ref.path
    file.write_text(json.dumps({**json.loads(file.read_text()), **facts}, sort_keys=True))
    update(root, ref)


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes."""
    return hashlib.sha256(data).hexdigest()
