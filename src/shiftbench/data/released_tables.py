"""Released results: tables of numbers that others measured, with the place that each number was copied from.

`data/released/NAME/` has a card and the files, each compressed by xz and checked by sha256. The card names repository,
commit, licence and citation, and says what each column is. A number becomes a row with `evidence: released`, so that
it is never taken for one that was measured here. Only tables under a permissive licence are kept (NOTICE).
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import lzma
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import polars as pl
import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from shiftbench.base.errors import DataError, ParamsError, suggest

FOLDER = Path(__file__).parent / "released"
Text = Annotated[str, Field(min_length=1)]
SCHEMA = {
    "model": pl.String,
    "metric": pl.String,
    "dataset": pl.String,
    "split": pl.String,
    "shift": pl.String,
    "severity": pl.Float64,
    "value": pl.Float64,
    "n": pl.Int64,
    "evidence": pl.String,
    "release": pl.String,
    "file": pl.String,
    "row": pl.Int64,
    "column": pl.String,
    "printed": pl.String,
}
"""Columns of `rows`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """What the numbers of a column are, in the terms of METRICS."""

    metric: Text
    dataset: Text
    split: Text
    n: int | None = Field(None, ge=1, description="samples behind each share; null: not known, so no interval")


class ReleasedFile(_Strict):
    """One CSV file of a release.

    Attributes:
        sha256: of the file as it was released.
        columns: regular expression of a whole column name -> what it is; groups `shift` and `severity` are read.
    """

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    columns: dict[str, Column]


class Card(_Strict):
    """A release.

    Attributes:
        title: what is in it.
        repository: `owner/name` on GitHub.
        commit: the commit that the files are of.
        licence: SPDX name.
        citation: the work to cite.
        key: the columns that together name a model; joined by `@`.
        attributes: facts about a model, by name -> column.
        pretraining: kind of data -> regular expression that is searched in a model's tag; the first counts.
        unit: of the metrics in the files.
        files: path in the repository -> file.
    """

    title: Text
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    licence: Literal["Apache-2.0", "MIT"]
    citation: Text
    key: Annotated[tuple[str, ...], Field(min_length=1)]
    attributes: dict[str, str] = {}
    pretraining: dict[str, str] = {}
    unit: Literal["percent", "share"]
    files: dict[str, ReleasedFile]

    def pretraining_of(self, model: str) -> str:
        """The kind of data that a model was trained on, by the tag behind the first dot of its name; "": not known."""
        tag = model.partition(".")[2].rpartition("@")[0]
        return next((kind for kind, pattern in self.pretraining.items() if re.search(pattern, tag)), "")

    def address(self, file: str, row: int) -> str:
        """Where a row (from 1, without the header) can be read."""
        return f"https://github.com/{self.repository}/blob/{self.commit}/{file}?plain=1#L{row + 1}"


def names() -> list[str]:
    """Names of the releases that are kept, sorted."""
    return sorted(file.parent.name for file in FOLDER.glob("*/card.yaml"))


@functools.cache
def card(name: str) -> Card:
    """The card of a release.

    Raises:
        ParamsError: no release has that name.
        DataError: the card has a wrong key.
    """
    if name not in names():
        raise ParamsError(f"no released results are called {name!r}; {suggest(name, names())}")
    file = FOLDER / name / "card.yaml"
    try:
        return Card.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except pydantic.ValidationError as error:
        raise DataError(f"{file}: {error}") from None


def content(name: str, file: str) -> str:
    """The text of a released file, as it was released.

    Raises:
        DataError: its bytes are not those of the card.
    """
    kept = FOLDER / name / f"{PurePosixPath(file).name}.xz"
    try:
        data = lzma.decompress(kept.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"{kept} cannot be read ({error}); restore it, for example by `git checkout`") from None
    found, expected = hashlib.sha256(data).hexdigest(), card(name).files[file].sha256
    if found != expected:
        raise DataError(f"{kept} has the sha256 {found}; the card says {expected}. Restore file and card from git")
    return data.decode()


@functools.cache
def rows(name: str) -> pl.DataFrame:
    """The numbers of a release, one row each, in the columns of SCHEMA; shares lie in [0, 1].

    `row` counts from 1 without the header, and `printed` is the cell as it is in the file.

    Raises:
        ParamsError: no release has that name.
        DataError: bytes that are not those of the card, a missing column, a cell that is no share, a model that has
            two rows in a file.
    """
    about = card(name)
    found = [row for file in about.files for row in _rows_of_file(name, about, file)]
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def attributes(name: str) -> pl.DataFrame:
    """Facts about the models of a release: `model`, then a float64 column for each attribute; null where not known."""
    about = card(name)
    known: dict[str, list[float | None]] = {}
    for file in about.files:
        for line in _lines(name, file):
            known.setdefault(
                _model(about, line), [_number(line.get(column, "")) for column in about.attributes.values()]
            )
    schema = {"model": pl.String, **dict.fromkeys(about.attributes, pl.Float64)}
    return pl.DataFrame([[model, *values] for model, values in known.items()], schema=schema, orient="row")


def _lines(name: str, file: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(name, file), newline="")))


def _model(about: Card, line: dict[str, str]) -> str:
    return "@".join(line[column] for column in about.key)


def _number(cell: str) -> float | None:
    """A number that may have commas between thousands; None for none."""
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return None


def _rows_of_file(name: str, about: Card, file: str) -> list[tuple[object, ...]]:
    lines = _lines(name, file)
    header = list(lines[0]) if lines else []
    if missing := [column for column in about.key if column not in header]:
        raise DataError(f"{name}/{file} has no column {missing[0]!r}; {suggest(missing[0], header)}")
    models = [_model(about, line) for line in lines]
    if len(set(models)) < len(models):
        twice = next(model for at, model in enumerate(models) if model in models[:at])
        raise DataError(f"{name}/{file} has two rows of {twice}; its card needs another `key`")
    found: list[tuple[object, ...]] = []
    for pattern, column in about.files[file].columns.items():
        places = [(cell, match) for cell in header if (match := re.fullmatch(pattern, cell))]
        if not places:
            raise DataError(f"{name}/{file} has no column that fits {pattern!r}")
        for cell, match in places:
            groups = match.groupdict()
            shift, severity = groups.get("shift", "identity"), float(groups.get("severity", 0))
            for row, (model, line) in enumerate(zip(models, lines, strict=True), start=1):
                if not line[cell].strip():
                    continue
                value = _share(line[cell], about.unit, f"{name}/{file}, row {row}, column {cell}")
                place = (model, column.metric, column.dataset, column.split, shift, severity)
                found.append((*place, value, column.n, "released", name, file, row, cell, line[cell]))
    return found


def _share(cell: str, unit: str, place: str) -> float:
    value = _number(cell)
    if value is not None and unit == "percent":
        value /= 100
    if value is None or not 0 <= value <= 1:
        raise DataError(f"{place} is {cell!r}; expected a {unit} from 0 to {100 if unit == 'percent' else 1}")
    return value
