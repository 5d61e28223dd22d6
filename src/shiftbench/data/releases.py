"""Released results: numbers that others measured and published as files, each with the place that it was copied from.

A release has two cards of one name. `sources/NAME.yaml` lists its files with their sha256, licence and citation;
`released/NAME.yaml` says what each number in them is, in the terms of the format METRICS. An importer (a plugin) splits
a file into lines of named cells. The numbers have `evidence: released`, so that none is taken for one measured here.

    rows("timm")       # a frame of format RELEASED, without intervals
"""

from __future__ import annotations

import functools
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.files import from_yaml
from shiftbench.data import formats, providers, source_files

EVIDENCE = "released"
Text = Annotated[str, Field(min_length=1)]
Unit = Literal["percent", "share", "number"]
_NUMBER = re.compile(r"([+-]?[\d,]*\.?\d+(?:[eE][+-]?\d+)?)(?:\s*(?:±|\+-|\+/-)\s*(\d*\.?\d+))?")
_FIELD = re.compile(r"\{([^{}]*)\}")
_PLACE = ("model", "method", "detector", "dataset", "split", "reference", "shift", "severity", "group", "metric")
_NUMERIC = ("parameters", "image_size", "severity")
_FACTS = ("pretraining", "parameters", "image_size", "note")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a released file, as an importer reads it.

    Attributes:
        row: number of the line in the file, from 1, as editors count.
        cells: name of the column -> the text as it was printed.
        file: the released file, where a file quotes another; empty: the file itself.
    """

    row: int
    cells: Mapping[str, str]
    file: str = ""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Meaning(_Strict):
    """What numbers are, in the terms of METRICS; what it leaves open is said elsewhere on the card.

    Attributes:
        unit: how the file prints them.
        n: samples behind each number; null: not known, and then a share has no interval.
        seeds: trainings behind each number and its spread.
    """

    model: Text | None = None
    method: Text | None = None
    detector: Text | None = None
    dataset: Text | None = None
    split: Text | None = None
    reference: Text | None = None
    shift: Text | None = None
    severity: float | None = None
    group: Text | None = None
    metric: Text | None = None
    unit: Unit | None = None
    n: int | None = Field(None, ge=1)
    seeds: int | None = Field(None, ge=1)

    @property
    def stated(self) -> dict[str, Any]:
        """What it says, null too where that is said."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ReleasedFile(_Strict):
    """How the files of a pattern are read.

    Attributes:
        importer: plugin that reads it; default: the card's.
        options: of the importer.
        is_: what all of its numbers are (`is` on the card).
        each: field of METRICS, or a fact -> text with `{column}` for the cell of a line.
        columns: regular expression of a whole column name -> what its numbers are; named groups are fields.
        lines: column -> regular expression of the cells whose lines are read; others are left out.
        missing: cells that hold no number, beside empty ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    importer: Text | None = None
    options: dict[str, Any] = {}
    is_: Annotated[Meaning, Field(alias="is")] = Meaning()
    each: dict[str, str] | None = None
    columns: dict[str, Meaning]
    lines: dict[str, str] = {}
    missing: tuple[str, ...] = ()


class Card(_Strict):
    """How the numbers of a release are read.

    Attributes:
        repository: `owner/name` on GitHub.
        commit: the commit that the files are of.
        importer, is_, each: as of a file, for all files that do not say otherwise.
        names: field -> text in the file -> our name.
        pretraining: kind of data -> regular expression that is searched in the fact `pretraining`; the first counts.
        files: path in the repository, or pattern of paths -> how they are read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    importer: Text = "wide_csv"
    is_: Annotated[Meaning, Field(alias="is")] = Meaning()
    each: dict[str, str] = {}
    names: dict[str, dict[str, str]] = {}
    pretraining: dict[str, str] = {}
    files: Annotated[dict[str, ReleasedFile], Field(min_length=1)]

    @pydantic.model_validator(mode="after")
    def _check(self) -> Card:
        known = (*_PLACE, *_FACTS)
        for each in (self.each, *(file.each or {} for file in self.files.values())):
            for name in each:
                if name not in known:
                    raise ValueError(f"each: {name!r}; {suggest(name, known)}")
        return self

    def address(self, file: str, row: int) -> str:
        """Where a line of a file can be read."""
        return address(self.repository, self.commit, file, row)


def address(repository: str, commit: str, file: str, row: int) -> str:
    """Where a line of a file in a repository on GitHub can be read.

    Example:
        >>> address("a/b", "0f", "c.csv", 2)
        'https://github.com/a/b/blob/0f/c.csv?plain=1#L2'
    """
    return f"https://github.com/{repository}/blob/{commit}/{file}?plain=1#L{row}"


def names() -> list[str]:
    """Names of all releases, of the package, the systems and the user's plugin folders, sorted."""
    return sorted({file.stem for home in registry.homes() for file in (home.folder / "released").glob("*.yaml")})


def card(name: str) -> Card:
    """The card of a release.

    Raises:
        ParamsError: no release has that name, or its card has a wrong key.
    """
    files = [file for home in registry.homes() if (file := home.folder / "released" / f"{name}.yaml").is_file()]
    if not files:
        raise ParamsError(f"no released results are called {name!r}; {suggest(name, names())}")
    if len(files) > 1:
        raise ParamsError(f"two cards of released results {name!r}: {files[0]} and {files[1]}; rename yours")
    stat = files[0].stat()
    return _card(files[0], stat.st_mtime_ns, stat.st_size)


@functools.cache
def _card(file: Path, _mtime: int, _size: int) -> Card:
    try:
        return Card.model_validate(from_yaml(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        raise ParamsError(f"{file} is not valid YAML: {error}") from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise ParamsError(f"{file}: {'.'.join(map(str, first['loc'])) or 'the whole file'}: {first['msg']}") from None


def importers(name: str) -> list[str]:
    """Names of the importers that read a release, sorted."""
    about = card(name)
    return sorted({file.importer or about.importer for file in about.files.values()})


def folder(path: Path) -> dict[str, bytes]:
    """The files of a folder of source files, by their paths."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


@functools.cache
def kept(name: str) -> dict[str, bytes]:
    """The files of a release that is kept beside its card, by their paths, checked by sha256.

    Raises:
        ParamsError: no such release, or its files are not kept.
        DataError: the bytes are not those of the card.
    """
    source = source_files.load_source(name)
    places = [provider for provider in source.providers if provider.client == "kept"]
    if not places:
        raise ParamsError(f"the files of {name!r} are not kept; `shiftbench fetch {name}` brings them")
    with tempfile.TemporaryDirectory() as scratch:
        providers.unpack(Path(places[0].package), places[0], source, Path(scratch))
        try:
            source_files.verify(source, Path(scratch))
        except DataError as error:
            raise DataError(f"{places[0].package}: {error}; restore it and its card from git") from None
        return folder(Path(scratch))


@functools.cache
def rows(name: str) -> pl.DataFrame:
    """The numbers of a release that is kept, see `numbers`.

    Raises:
        ParamsError, DataError: as `kept` and `numbers`.
    """
    return numbers(name, kept(name))


def numbers(name: str, files: Mapping[str, bytes]) -> pl.DataFrame:
    """The numbers of a release, in the columns of RELEASED without the ends of intervals; shares lie in [0, 1].

    Args:
        name: of the release.
        files: its files, by their paths.

    Raises:
        ParamsError: no release has that name.
        DataError: a file or column of the card is missing, a cell is no number of its unit, or two cells of a file say
            what one number is.
    """
    about = card(name)
    found: list[dict[str, Any]] = []
    for pattern, file in about.files.items():
        paths = [path for path in files if fnmatchcase(path, pattern)]
        if not paths:
            raise DataError(f"{name} has no file {pattern!r}; {suggest(pattern, files)}")
        for path in paths:
            found += _numbers(_Reader(name, about, file, path), files[path])
    columns = [column for column in formats.RELEASED.columns if column.name not in ("ci_low", "ci_high")]
    empty = pl.from_arrow(formats.RELEASED.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    schema = {column.name: empty.schema[column.name] for column in columns}
    return pl.DataFrame(found, schema=schema, orient="row")


@dataclass(frozen=True, slots=True)
class _Reader:
    """A file of a release, and what its card says of it."""

    release: str
    card: Card
    file: ReleasedFile
    path: str

    def facts(self, line: Line) -> dict[str, Any]:
        """What a line says of all of its numbers."""
        each = self.card.each if self.file.each is None else self.file.each
        texts = {name: self._filled(text, line) for name, text in each.items()}
        texts = {name: self.card.names.get(name, {}).get(text, text) or None for name, text in texts.items()}
        if (text := texts.get("pretraining")) is not None and self.card.pretraining:
            kinds = (kind for kind, pattern in self.card.pretraining.items() if re.search(pattern, text))
            texts["pretraining"] = next(kinds, None)
        numbers = {
            name: _parsed(texts[name] or "") for name in ("parameters", "image_size", "severity") if name in texts
        }
        return {**texts, **{name: None if pair is None else pair[0] for name, pair in numbers.items()}}

    def _filled(self, text: str, line: Line) -> str:
        for name in _FIELD.findall(text):
            if name not in line.cells:
                raise DataError(
                    f"{self.release}/{self.path}, row {line.row}, has no column {name!r}; {suggest(name, line.cells)}"
                )
        return _FIELD.sub(lambda match: line.cells[match[1]], text).strip()

    def meanings(self, columns: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Column -> what its numbers are, for the columns that the card names."""
        names, known = list(columns), {}
        for pattern, meaning in self.file.columns.items():
            matches = {name: match for name in names if (match := re.fullmatch(pattern, name))}
            if not matches:
                raise DataError(f"{self.release}/{self.path} has no column that fits {pattern!r}; it has {names}")
            for name, match in matches.items():
                groups = {key: self.card.names.get(key, {}).get(text, text) for key, text in match.groupdict().items()}
                if "severity" in groups:
                    groups["severity"] = float(groups["severity"])
                known[name] = {**self.card.is_.stated, **self.file.is_.stated, **meaning.stated, **groups}
        return known

    def place(self, line: Line, column: str) -> str:
        """Where a cell is, for messages."""
        return f"{self.release}/{line.file or self.path}, row {line.row}, column {column}"


_DEFAULTS = {"method": "plain", "shift": "identity", "severity": 0.0, "unit": "share"}


def _numbers(reader: _Reader, content: bytes) -> Iterator[dict[str, Any]]:
    module = registry.find("importers", reader.file.importer or reader.card.importer)
    lines: list[Line] = module(content, **reader.file.options)
    columns = dict.fromkeys(name for line in lines for name in line.cells)
    meanings = reader.meanings(columns)
    seen: dict[tuple[object, ...], str] = {}
    for line in lines:
        if any(not re.fullmatch(pattern, line.cells.get(name, "")) for name, pattern in reader.file.lines.items()):
            continue
        facts = reader.facts(line)
        for column, meaning in meanings.items():
            printed = line.cells.get(column, "").strip()
            if not printed or printed in reader.file.missing:
                continue
            number = {**_DEFAULTS, **meaning, **facts}
            where = reader.place(line, column)
            value, spread = _value(printed, number.pop("unit"), where)
            row = {"release": reader.release, "evidence": EVIDENCE, **number, "value": value, "spread": spread}
            row |= {"file": line.file or reader.path, "row": line.row, "column": column, "printed": printed}
            _check_place(row, seen, where)
            yield row


def _check_place(row: dict[str, Any], seen: dict[tuple[object, ...], str], where: str) -> None:
    for name in ("model", "dataset", "split", "metric"):
        if not row.get(name):
            raise DataError(f"{where}: its card does not say the {name}; put it under `is`, `each` or `columns`")
    key = tuple(row.get(name) for name in (*_PLACE, "note", "file"))
    if key in seen:
        raise DataError(f"{where} and {seen[key]} are the same number by their card; `each` has to tell them apart")
    seen[key] = where


def _value(printed: str, unit: Unit, where: str) -> tuple[float, float | None]:
    parsed = _parsed(printed)
    scale = 100 if unit == "percent" else 1
    limits = (0, scale) if unit != "number" else (-math.inf, math.inf)
    if parsed is None or not limits[0] <= parsed[0] <= limits[1]:
        expected = "a number" if unit == "number" else f"a {unit} from 0 to {scale}"
        raise DataError(f"{where} is {printed!r}; expected {expected}")
    value, spread = parsed
    return value / scale, None if spread is None else spread / scale


def _parsed(text: str) -> tuple[float, float | None] | None:
    """Number and spread of `73.05 ± 0.39` or `1,013.01`; None for neither."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    return float(match[1].replace(",", "")), None if match[2] is None else float(match[2])
