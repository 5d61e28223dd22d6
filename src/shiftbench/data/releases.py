"""Released results: numbers that others measured and published as files, each with the place that it was copied from.

A release has two cards of one name. `sources/NAME.yaml` lists its files with their sha256, licence and citation;
`released/NAME.yaml` says what each number in them is, in the terms of the format METRICS. An importer (a plugin) splits
a file into lines of named cells. The numbers have `evidence: released`, so that none is taken for one measured here.

    rows("timm")       # a frame of format RELEASED, without intervals
"""

from __future__ import annotations

import csv
import functools
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl
import pydantic
import yaml

from shiftbench.base import registry
from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.base.files import from_yaml
from shiftbench.data import formats, providers, source_files
from shiftbench.data.release_cards import PLACE, Card, ReleasedFile, Unit

EVIDENCE = "released"
_NUMBER = re.compile(r"([+-]?[\d,]*\.?\d+(?:[eE][+-]?\d+)?)(?:\s*(?:±|\+-|\+/-)\s*(\d*\.?\d+))?")
_FIELD = re.compile(r"\{([^{}]*)\}")
_NUMERIC = ("parameters", "image_size", "severity", "n", "seeds")


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
    return sorted({reading.importer or about.importer for _, reading in about.readings})


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
    card(name)
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
    seen: dict[tuple[object, ...], str] = {}
    for pattern, reading in about.readings:
        paths = [path for path in files if fnmatchcase(path, pattern)]
        if not paths:
            raise DataError(f"{name} has no file {pattern!r}; {suggest(pattern, files)}")
        found += _numbers(_Reader(name, about, reading, pattern), {path: files[path] for path in paths}, seen)
    columns = [column for column in formats.RELEASED.columns if column.name not in ("ci_low", "ci_high")]
    empty = pl.from_arrow(formats.RELEASED.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)  # noqa: S101 - for mypy: a table becomes a frame
    schema = {column.name: empty.schema[column.name] for column in columns}
    return pl.DataFrame(found, schema=schema, orient="row")


@dataclass(frozen=True, slots=True)
class _Reader:
    """How the files of a pattern are read, and the card that says it."""

    release: str
    card: Card
    reading: ReleasedFile
    pattern: str

    def lines(self, files: Mapping[str, bytes]) -> list[Line]:
        """The lines that are read, each with its file and the cells of its path."""
        importer = self.reading.importer or self.card.importer
        found = []
        for path, content in files.items():
            for line in lines_of(importer, content, self.reading.options, f"{self.release}/{path}"):
                file = line.file or path
                cells = {**line.cells, **self._path_cells(file)}
                if all(re.fullmatch(wanted, cells.get(name, "")) for name, wanted in self.reading.lines.items()):
                    found.append(Line(line.row, cells, file))
        return found

    def _path_cells(self, file: str) -> dict[str, str]:
        if self.reading.path is None:
            return {}
        match = re.fullmatch(self.reading.path, file)
        if match is None:
            raise DataError(f"{self.release}/{file} does not fit the path {self.reading.path!r} of its card")
        return match.groupdict("")

    def facts(self, line: Line) -> dict[str, Any]:
        """What a line says of all of its numbers."""
        each = self.card.each if self.reading.each is None else self.reading.each
        filled = {name: self._filled(text, line) for name, text in each.items()}
        texts = {name: self.card.names.get(name, {}).get(text, text) or None for name, text in filled.items()}
        if (text := texts.get("pretraining")) is not None and self.card.pretraining:
            kinds = (kind for kind, pattern in self.card.pretraining.items() if re.search(pattern, text))
            texts["pretraining"] = next(kinds, None)
        return {name: self._number(name, text, line) if name in _NUMERIC else text for name, text in texts.items()}

    def _number(self, name: str, text: str | None, line: Line) -> float | None:
        if text is None or text in self.reading.missing:
            return None
        parsed = _parsed(text)
        if parsed is None:
            raise DataError(f"{self.place(line, name)} is {text!r}; expected a number, or a name for it under `names`")
        return parsed[0]

    def _filled(self, text: str, line: Line) -> str:
        for name in _FIELD.findall(text):
            if name not in line.cells:
                raise DataError(
                    f"{self.release}/{line.file}, row {line.row}, has no column {name!r}; {suggest(name, line.cells)}"
                )
        return _FIELD.sub(lambda match: line.cells[match[1]], text).strip()

    def meanings(self, columns: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Column -> what its numbers are, for the columns that the card names."""
        names, known = list(columns), {}
        for pattern, meaning in self.reading.columns.items():
            matches = {name: match for name in names if (match := re.fullmatch(pattern, name))}
            if not matches:
                raise DataError(f"{self.release}/{self.pattern} has no column that fits {pattern!r}; it has {names}")
            for name, match in matches.items():
                groups: dict[str, Any] = {
                    key: self.card.names.get(key, {}).get(text, text) for key, text in match.groupdict().items()
                }
                known[name] = {**self.card.is_.stated, **self.reading.is_.stated, **meaning.stated, **groups}
                if "severity" in groups:
                    known[name]["severity"] = float(groups["severity"])
        return known

    def place(self, line: Line, column: str) -> str:
        """Where a cell is, for messages."""
        return f"{self.release}/{line.file}, row {line.row}, column {column}"


_DEFAULTS = {"method": "plain", "shift": "identity", "severity": 0.0, "unit": "share"}


def lines_of(importer: str, content: bytes, options: Mapping[str, Any], where: str) -> list[Line]:
    """The lines of a released file.

    Args:
        importer: name of the plugin.
        content: the file.
        options: of the importer.
        where: name of the file, for messages.

    Raises:
        PluginError: no importer has that name.
        ParamsError: it has no such option, or one has a wrong value.
        DataError: the file is not as the importer expects it.
    """
    module = registry.find("importers", importer)
    if wrong := registry.problems(module, options):
        raise ParamsError(f"{where}: options of the importer {importer}: {wrong[0]}")
    try:
        return list(module.function(content, **options))
    except (ValueError, KeyError, csv.Error, DataError) as error:
        said = f"no column {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{where} cannot be read by the importer {importer}: {said}") from None


def _numbers(
    reader: _Reader, files: Mapping[str, bytes], seen: dict[tuple[object, ...], str]
) -> Iterator[dict[str, Any]]:
    lines = reader.lines(files)
    meanings = reader.meanings(dict.fromkeys(name for line in lines for name in line.cells))
    for line in lines:
        facts = reader.facts(line)
        for column, meaning in meanings.items():
            printed = line.cells.get(column, "").strip()
            if not printed or printed in reader.reading.missing:
                continue
            number = {**_DEFAULTS, **meaning, **facts}
            where = reader.place(line, column)
            deviation = number.pop("spread", None)
            text = (
                printed
                if deviation is None
                else _with_spread(printed, line, deviation.replace("{column}", column), where)
            )
            value, spread = _value(text, number.pop("unit"), number.get("n"), where)
            seeds, ddof = number.get("seeds") or 1, number.pop("ddof", 1)
            if seeds > 1 and not spread:
                number["seeds"] = None
            elif seeds > 1 and spread and ddof == 0:
                spread *= math.sqrt(seeds / (seeds - 1))
            row = {"release": reader.release, "evidence": EVIDENCE, **number, "value": value, "spread": spread}
            row |= {"file": line.file, "row": line.row, "column": column, "printed": printed}
            _check_place(row, seen, where)
            yield row


def _check_place(row: dict[str, Any], seen: dict[tuple[object, ...], str], where: str) -> None:
    for name in ("model", "dataset", "split", "metric"):
        if not row.get(name):
            raise DataError(f"{where}: its card does not say the {name}; put it under `is`, `each` or `columns`")
    key = tuple(row.get(name) for name in (*PLACE, "note", "file"))
    if key in seen:
        raise DataError(f"{where} and {seen[key]} are the same number by their card; `each` has to tell them apart")
    seen[key] = where


def _with_spread(printed: str, line: Line, column: str, where: str) -> str:
    """A cell with its deviation, which is in another column."""
    if column not in line.cells:
        raise DataError(f"{where}: its spread is in no column {column!r}; {suggest(column, line.cells)}")
    deviation = line.cells[column].strip()
    return f"{printed} ± {deviation}" if deviation else printed


def _value(printed: str, unit: Unit, n: float | None, where: str) -> tuple[float, float | None]:
    parsed = _parsed(printed)
    if unit == "count" and not n:
        raise DataError(f"{where} is a count of samples, but its card does not say the n of them")
    scale = {"percent": 100.0, "points": 100.0, "count": float(n or 1)}.get(unit, 1.0)
    is_share = unit not in ("number", "points")
    limits = (0, scale) if is_share else (-math.inf, math.inf)
    if parsed is None or not limits[0] <= parsed[0] <= limits[1]:
        expected = f"a {unit} from 0 to {scale:g}" if is_share else "a number"
        raise DataError(f"{where} is {printed!r}; expected {expected}")
    value, spread = parsed
    return value / scale, None if spread is None else spread / scale


def _parsed(text: str) -> tuple[float, float | None] | None:
    """Number and spread of `73.05 ± 0.39` or `1,013.01`; None for neither."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    return float(match[1].replace(",", "")), None if match[2] is None else float(match[2])
