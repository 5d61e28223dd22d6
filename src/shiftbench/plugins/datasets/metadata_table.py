"""Your own images as a table describes them: Waterbirds, CelebA and others in this layout.

    datasets:
      waterbirds:
        use: metadata_table
        root: /data/waterbirds
        tables: [metadata.csv]
        columns: {image: img_filename, label: y, split: split}
        groups: [y, place]
        classes: [landbird, waterbird]
      celeba_hair:
        use: metadata_table
        root: /data/celeba
        images: img_align_celeba
        tables: [list_attr_celeba.csv, list_eval_partition.csv]
        columns: {image: image_id, label: Blond_Hair, split: partition}
        labels: {"-1": 0, "1": 1}
        groups: [Blond_Hair, Male]
        classes: [other, blond]

Tables are CSV with a heading; the path of an image is below `root`/`images`. `groups` make each record's group, for
the accuracy of the worst one. `shorter` and `side` resize and cut as `imagenet` does. Nothing is downloaded; shards
stay local. A key is `metadata_table/` and the path.

Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020, whose released Waterbirds
and CelebA have these columns (kohpangwei/group_DRO).
"""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import DataError, DuplicateKeyError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.datasets import _options
from shiftbench.plugins.datasets._pictures import read_array, square

TASK = "classification"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "the terms of the user's own copy"
CITATION = (
    "Sagawa, Koh, Hashimoto and Liang, Distributionally Robust Neural Networks for Group Shifts, ICLR 2020, "
    "arXiv:1911.08731; and the authors of the images"
)
REDISTRIBUTE = False
IN_ORDER = True

Row = dict[str, str]
Values = _options.Value | list[_options.Value]


class Options(declare.Options):
    root: fields.Root = ""
    images: _options.Images = ""
    tables: list[str] = Field([], description="CSV files in `root`; several are joined by the image's path")
    columns: dict[Literal["image", "label", "split"], str] = Field(
        {"image": "img_filename", "label": "y", "split": "split"}, description="columns of path, label and split"
    )
    splits: dict[_options.Split, Values] = Field(
        {"train": "0", "val": "1", "test": "2"}, description="value, or values, of the split column for each split"
    )
    labels: dict[str, int] = Field({}, description="class of each value of the label column; {}: the value itself")
    where: dict[str, Values] = Field({}, description="rows that count: column and its value or values; {}: all")
    groups: list[str] = Field([], description="columns whose values, joined, are a sample's group; []: no groups")
    classes: list[str | int] | None = Field(
        None, description="class names in the order of the labels; null: out of distribution"
    )
    counts: _options.Counts = Field({})
    shorter: _options.Shorter = 0
    side: _options.Side = 0
    licence: fields.Licence = ""


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The names of the classes; of an OOD set one name that no model has."""
    named = params["classes"]
    return ("out_of_distribution",) if named is None else tuple(map(str, named))


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user provides for a native split: path -> description."""
    root = _root(params)
    tables = {str(root / name): "table of images" for name in params["tables"]}
    return {**tables, str(root / params["images"]): "the images"}


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield a split in the order of keys: `image` uint8 (h, w) or (h, w, 3), `label`, `meta` with the group.

    An image that is missing or broken and a label out of range are yielded as errors.
    """
    root, count = _root(params) / params["images"], len(classes(params, {}))
    rows = [row for row in _rows(params) if _fits(row, split, params)]
    expected = params["counts"].get(split, len(rows) or 1)
    if len(rows) != expected:
        raise DataError(f"{params['tables'][0]} has {len(rows)} rows of {split}, expected {expected}")
    keyed = sorted((_key(row[params["columns"]["image"]]), at) for at, row in enumerate(rows))
    for (key, at), (before, _) in zip(keyed, [("", 0), *keyed], strict=False):
        if key == before:
            raise DuplicateKeyError(f"{key} is named by two rows; remove one")
        try:
            sample = _sample(key, rows[at], root, count, params)
            yield square(sample, params["shorter"], params["side"])
        except DataError as error:
            yield error


def _root(params: dict[str, Any]) -> Path:
    if not params["root"] or not params["tables"]:
        raise ParamsError("metadata_table: name `root`, the folder of the images, and `tables` in it")
    return Path(params["root"]).expanduser()


def _rows(params: dict[str, Any]) -> list[Row]:
    """The rows of the first table, each with what the others say of the same image."""
    column = params["columns"]["image"]
    first, *others = [_table(_root(params) / name) for name in params["tables"]]
    needed = {*params["columns"].values(), *params["groups"], *params["where"]}
    known = {name for table in (first, *others) for name in table[0]}
    for name in sorted(needed - known):
        raise ParamsError(f"metadata_table: no table has the column {name!r}; {suggest(name, known)}")
    others_by_key = [{row[column]: row for row in table} for table in others]
    for row in first:
        for table in others_by_key:
            if row[column] not in table:
                raise DataError(f"{row[column]}: {params['tables'][0]} names it, another table does not")
            row.update({**table[row[column]], **row})
    return first


def _table(file: Path) -> list[Row]:
    if not file.is_file():
        raise DataError(f"the table {file} does not exist; check root and tables of metadata_table")
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise DataError(f"the table {file} has no rows")
    return rows


def _fits(row: Row, split: str, params: dict[str, Any]) -> bool:
    allowed = {params["columns"]["split"]: params["splits"].get(split, ""), **params["where"]}
    return all(
        row[name] in [str(v) for v in (value if isinstance(value, list) else [value])]
        for name, value in allowed.items()
    )


def _key(path: str) -> str:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{path!r} is no relative path")
    return f"metadata_table/{relative.with_suffix('').as_posix().replace('.', '_')}"


def _sample(key: str, row: Row, root: Path, count: int, params: dict[str, Any]) -> Sample:
    stated = row[params["columns"]["label"]]
    label = params["labels"].get(stated, stated) if params["classes"] is not None else 0
    if not str(label).isdecimal() or int(label) not in range(count):
        raise RangeError(f"{key}: the label is {stated!r}; expected 0 to {count - 1}, or name it in `labels`")
    file = root / row[params["columns"]["image"]]
    if not file.is_file():
        raise DataError(f"{key}: the image {file} does not exist")
    fields: dict[str, Any] = {"image": read_array(file, key), "label": int(label)}
    if params["groups"]:
        fields["meta"] = {"group": ", ".join(f"{name} {row[name]}" for name in params["groups"])}
    return Sample(key, fields)
