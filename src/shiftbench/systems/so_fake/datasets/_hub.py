"""So-Fake's two sets as the hub has them: Parquet files of one pinned revision, read by row groups; helper.

`path` is the folder that a revision was downloaded to, `revision` its commit, 7 to 40 hexadecimal digits. It is looked
for where `hf download` writes it: in the path itself (`.../snapshots/REVISION`), or in the first line of
`.cache/huggingface/download/FILE.metadata`. Without a revision, or with files of another one, nothing is read: the
label encoding has changed between revisions.

What a label means is what the files say, never assumed: text names a class; an integer is a place in the list of names
that the files carry (`ClassLabel`), or in the option `labels` where they carry none. The first revision of So-Fake-OOD
has full_synthetic, real, tampered; the second real, tampered, full_synthetic; a third order is in circulation. It is
checked on `CHECKED` rows from all over the files before the first sample: a tampered image has a mask with marked
pixels, no other has, and the generator does not speak against the label (the real ones have none), or, in files without
that column, the file's name; else nothing is read. Names are not looked at beside generators: the second revision has
wholly synthetic pictures that are called `real_reddit_3009_...png`, and names that are prompts. A later row that
contradicts its label is a bad one, which stops the run or is left out and counted (`on_error: skip`).

Intervals are clustered by generator. Files without that column are refused, unless `generators: unknown` accepts that
pictures of one generator then count as independent ones.

Every image goes through one path, whatever its file was: decoded, brought to `side` x `side` pixels (0: left as it is),
coded as JPEG of `quality` and decoded again. A mask is brought to that size by areas, and a tampered image whose mask
vanishes thereby is bad, too; `meta.mask_share` is the marked share before and after.

Source: the dataset cards of saberzl/So-Fake-OOD on the hub (both revisions): columns image, mask, label, filename, of
the second revision generator and source, too; file names by the hub's viewer of both. The card of So-Fake-Set could not
be seen: `columns` renames.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pyarrow.parquet as pq
from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError, skippable, suggest
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _pictures
from shiftbench.plugins.models import _images
from shiftbench.systems.so_fake.datasets import _forging
from shiftbench.systems.so_fake.datasets._forging import CLASSES, TAMPERED
from shiftbench.systems.so_fake.datasets._generators import REAL, Pixels

AT_ONCE, CHECKED = 8, 20
LICENCE = "CC BY 4.0 by the card of So-Fake-OOD; of So-Fake-Set not stated; Reddit's research policy"
CITATION = "Huang, Li, Li et al., So-Fake, 2025, arXiv:2505.18660"
COLUMNS = ("image", "mask", "label", "filename", "generator", "source")
NEEDED = ("image", "mask", "label")
GENERATORS = ("column", "unknown")
_REVISION = re.compile(r"[0-9a-f]{7,40}")
_NAMED = {
    re.compile(r".*_tampered\.\w+"): TAMPERED,
    re.compile(r"full_synthetic_\d+\.\w+"): 1,
    re.compile(r"reddit_\d+\.\w+"): 0,
}
"""File names of the first revision, and the class that they speak of."""
_SOURCE = re.compile(r"(?:part\d+_)?(\d{5})_")
_SAME = {"openai": "GPT4o"}
"""Names of one generator: GPT-4o's pictures are `GPT4o` where they are whole, and `openai` where they are tampered."""
Row = dict[str, Any]


class Options(declare.Options):
    path: str = Field("", description="folder that a revision was downloaded to")
    revision: str = Field("", description="commit of this revision, 7 to 40 hexadecimal digits")
    labels: list[str] = Field([], description="class names in the order of integer labels; []: the names in the files")
    columns: dict[str, str] = Field({}, description="our name of a column -> name in the files, if they differ")
    side: int = Field(224, ge=0, description="side to which images are brought, in pixels; 0: as they are")
    quality: int = Field(95, ge=1, le=100, description="quality of the JPEG that every image goes through")
    generators: Literal["column", "unknown"] = Field(
        "column", description="generators are a column, or unknown: every picture counts as independent"
    )


def wants(hub_split: str, params: Mapping[str, Any]) -> dict[str, str]:
    """Files that the user must provide for a split of the hub."""
    if not params["path"]:
        return {}
    description = f"one revision from the hub, data/{hub_split}-*.parquet in it"
    return {str(Path(params["path"]).expanduser()): description}


def samples(name: str, split: str, hub_split: str, params: Mapping[str, Any]) -> Iterator[Sample | DataError]:
    """Yield the samples of a split of the hub, in the order of its files.

    Raises:
        ParamsError: no path or no revision is given, or an option is out of range.
        DataError: files are missing, of another revision or of another layout, or speak against their labels.
    """
    files = _files(hub_split, params)
    _clustered(files, params)
    names = _names(files, params)
    for row, where in _spread(files, params):
        _agree(_label(row["label"], names, where), row, where, _mask(row, where))
    for file_number, file in enumerate(files):
        for number, row in enumerate(_rows(pq.ParquetFile(file), None, params)):
            where = f"{file}, row {number}"
            key = f"{name}/{split}/{file_number:05d}_{number:06d}"
            try:
                yield _sample(key, row, _label(row["label"], names, where), where, params)
            except DataError as error:
                yield skippable(error)


def source(sample: Sample) -> str:
    """Identity that must not be in two splits: the number that begins a file's name, or the name, or the key."""
    name: str = sample.fields["meta"]["source"]
    return name


# ------------------------------------------------------------------ the files


def _files(hub_split: str, params: Mapping[str, Any]) -> list[Path]:
    path, revision = params["path"], str(params["revision"])
    if not path:
        raise ParamsError("so_fake: path is missing; give the folder of a downloaded revision")
    if not _REVISION.fullmatch(revision):
        raise ParamsError(
            f"so_fake: revision is {revision!r}; expected the commit that was downloaded, 7 to 40 hexadecimal digits "
            "(`hf download --repo-type dataset --revision COMMIT --local-dir FOLDER`): labels differ between revisions"
        )
    folder = Path(path).expanduser()
    files = sorted((folder / "data").glob(f"{hub_split}-*.parquet"))
    if not files:
        raise DataError(f"{folder / 'data'} has no file {hub_split}-*.parquet")
    for file in files:
        file_revision = _revision(folder, file)
        if not file_revision.startswith(revision):
            raise DataError(
                f"{file} is of revision {file_revision or 'that nothing tells'}; expected {revision}, in the path "
                "behind snapshots/ or in .cache/huggingface/download"
            )
    return files


def _clustered(files: Sequence[Path], params: Mapping[str, Any]) -> None:
    """Refuse files that tell no generators, unless that is accepted."""
    if params["generators"] not in GENERATORS:
        raise ParamsError(
            f"so_fake: generators is {params['generators']!r}; {suggest(params['generators'], GENERATORS)}"
        )
    column = params["columns"].get("generator", "generator")
    without_column = [file for file in files if column not in pq.read_schema(file).names]
    if without_column and params["generators"] == "column":
        raise DataError(
            f"{without_column[0]} has no column {column!r}: intervals could not be clustered by generator and "
            "would be narrow; "
            "name the column (`columns: {generator: ITS_NAME}`), or accept that with `generators: unknown`"
        )


def _revision(folder: Path, file: Path) -> str:
    """The revision that a file is of; empty where nothing tells it."""
    parts = folder.absolute().parts
    if "snapshots" in parts[:-1]:
        return parts[parts.index("snapshots") + 1]
    metadata = folder / ".cache/huggingface/download" / f"{file.relative_to(folder)}.metadata"
    return metadata.read_text().split()[0] if metadata.is_file() and metadata.stat().st_size else ""


def _names(files: Sequence[Path], params: Mapping[str, Any]) -> tuple[str, ...]:
    """The class of each integer label; nothing where labels are text."""
    option, column = tuple(params["labels"]), params["columns"].get("label", "label")
    stored = {_class_names(file, column) for file in files} - {()}
    if len(stored) > 1 or (stored and option and stored != {option}):
        raise DataError(
            f"{files[0].parent}: labels are {' and '.join(map(str, sorted(stored)))}, the option labels {option}; "
            "expected one order"
        )
    names = next(iter(stored), option)
    if names and sorted(names) != sorted(CLASSES):
        raise DataError(f"{files[0]}: labels are {names}; expected {', '.join(CLASSES)} in some order")
    return names


def _class_names(file: Path, column: str) -> tuple[str, ...]:
    """The names of a file's `ClassLabel`, empty where it carries none."""
    metadata = (pq.read_schema(file).metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    return tuple(features.get(column, {}).get("names") or ())


def _rows(
    file: pq.ParquetFile, groups: Sequence[int] | None, params: Mapping[str, Any], size: int = AT_ONCE
) -> Iterator[Row]:
    """Yield rows of a file under our names of columns; None for a column that it has not, "" for no generator."""
    available = file.schema_arrow.names
    columns = {name: params["columns"].get(name, name) for name in COLUMNS}
    for name in NEEDED:
        if columns[name] not in available:
            raise DataError(
                f"a file of So-Fake has no column {columns[name]!r}; it has {', '.join(available)} "
                f"(`columns: {{{name}: ITS_NAME}}`)"
            )
    present = {name: column for name, column in columns.items() if column in available}
    for batch in file.iter_batches(size, row_groups=groups, columns=list(present.values())):
        for row in batch.to_pylist():
            renamed = {name: row.get(columns[name]) for name in COLUMNS}
            if "generator" in present:
                renamed["generator"] = renamed["generator"] or ""
            yield renamed


def _spread(files: Sequence[Path], params: Mapping[str, Any]) -> Iterator[tuple[Row, str]]:
    """Yield rows from all over the files, the first ones of row groups, `CHECKED` of them where there are so many."""
    groups = [(file, g) for file in files for g in range(pq.ParquetFile(file).num_row_groups)]
    group_numbers = sorted({len(groups) * group_number // CHECKED for group_number in range(CHECKED)})
    per_group = -(-CHECKED // max(1, len(group_numbers)))
    for group_number in group_numbers:
        file, group = groups[group_number]
        rows = _rows(pq.ParquetFile(file), [group], params, per_group)
        for number, row in zip(range(per_group), rows, strict=False):
            yield row, f"{file}, row group {group}, row {number}"


# ------------------------------------------------------------------ a row


def _label(value: Any, names: Sequence[str], where: str) -> int:
    if isinstance(value, str):
        if value not in CLASSES:
            raise DataError(f"{where}: label is {value!r}; {suggest(value, CLASSES)}")
        return CLASSES.index(value)
    if not names:
        raise DataError(
            f"{where}: label is {value!r}, and neither the file nor the option `labels` says what integers mean; give "
            "`labels: [...]`, the classes in their order, as the card of this revision states them"
        )
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise DataError(f"{where}: label is {value!r}; expected 0 to {len(names) - 1}")
    return CLASSES.index(names[value])


def _mask(row: Row, where: str) -> Pixels | None:
    """The mask of a row, 255 where it is marked; None where it is missing or nothing in it is marked."""
    if not row["mask"] or not row["mask"].get("bytes"):
        return None
    grey = _images.to_grey(_images.to_colour(_decoded(row["mask"], f"{where}, mask")))
    mask = np.where(grey >= 128, 255, 0).astype(np.uint8)
    return mask if mask.any() else None


def _agree(label: int, row: Row, where: str, mask: Pixels | None) -> None:
    """Refuse a row whose mask, and generator or else file name, speaks against its label."""
    class_name = CLASSES[label]
    if (mask is not None) != (label == TAMPERED):
        problem = "has no marked pixels" if mask is None else "has marked pixels"
        raise DataError(
            f"{where}: the label is {class_name}, and the mask {problem}; is this the encoding of the revision?"
        )
    generator = _generator(row)
    if generator is not None:
        if (generator == REAL) != (label == 0):
            raise DataError(f"{where}: the label is {class_name}, and the generator {row['generator']!r}")
        return
    for form, named_label in _NAMED.items():
        if form.fullmatch(str(row["filename"] or "")) and named_label != label:
            raise DataError(f"{where}: the label is {class_name}, and the file is named {row['filename']!r}")


def _generator(row: Row) -> str | None:
    """The generator of a row, `real` for none; None where the files do not tell."""
    if row["generator"] is None:
        return None
    name = str(row["generator"]).strip()
    return REAL if name.lower() in ("", "none", "null", "real") else name


def _sample(key: str, row: Row, label: int, where: str, params: Mapping[str, Any]) -> Sample:
    mask = _mask(row, where)
    _agree(label, row, where, mask)
    image = _images.to_colour(_decoded(row["image"], where))
    fields: dict[str, Any] = {"image": _path(image, params), "label": label}
    generator = REAL if label == 0 else _generator(row)
    stem = Path(str(row["filename"] or key)).stem
    number = _SOURCE.match(stem)
    meta: dict[str, Any] = {"source": number[1] if number else stem, "filename": row["filename"]}
    if generator is not None:
        meta |= {"generator": generator, "group": generator}
    if generator not in (None, REAL):
        meta["cluster"] = _SAME.get(str(generator), generator)
    if mask is not None:
        fields["mask"] = _fitted(mask, fields["image"].shape[:2], where)
        meta["mask_share"] = [round(float((array > 0).mean()), 6) for array in (mask, fields["mask"])]
    return Sample(key, {**fields, "meta": meta})


def _decoded(value: Mapping[str, Any], where: str) -> Pixels:
    data = (value or {}).get("bytes")
    if not data:
        raise DataError(f"{where}: no bytes of an image; expected them in the file")
    return _pictures.read_array(io.BytesIO(data), where)


def _path(image: Pixels, params: Mapping[str, Any]) -> Pixels:
    side = params["side"]
    small = _images.resize(image, side, side, "bilinear") if side else image
    return _forging.encoded(small, params["quality"])


def _fitted(mask: Pixels, shape: tuple[int, int], where: str) -> Pixels:
    """A mask in the size of its image: marked where half of a pixel's area is."""
    size = shape[1], shape[0]
    if mask.shape == shape:
        return mask
    fitted = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA)) >= 128
    if not fitted.any():
        raise DataError(f"{where}: nothing is left of the mask at {shape[0]} x {shape[1]} pixels")
    return np.where(fitted, 255, 0).astype(np.uint8)
