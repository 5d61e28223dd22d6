"""Real tables from three sources, cell by cell as texts: countries, statistics, and Wikipedia pages.

countries    one table for each subregion of at least LEAST countries (countryinfo): name, capital, area, population,
             currency, language, calling code; those of which area or population is missing are left out
statistics   tables of ROWS rows, drawn from 15 files of vega-datasets, TABLES of each
wikipedia    tables in wikitext (two dumps in gensim's test data): regular ones with LEAST rows, without cells that span
             others; references, templates and markup are taken out of cells

`id` of a table is `POOL/NAME`; no two have the same cells.
"""

import bz2
import csv
import importlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.data import tables

LEAST, MOST_ROWS, MOST_COLUMNS = 4, 40, 10
ROWS, TABLES = 12, 4
COUNTRY = ("name", "capital", "area", "population", "currencies", "languages", "callingCodes")
HEADINGS = ("Country", "Capital", "Area", "Population", "Currency", "Language", "Calling code")
STATISTICS = (
    *("barley.json", "burtin.json", "cars.json", "crimea.json", "driving.json", "iris.json", "ohlc.json"),
    *("wheat.json", "airports.csv", "iowa-electricity.csv", "la-riots.csv", "seattle-temps.csv"),
    *("seattle-weather.csv", "stocks.csv", "us-employment.csv"),
)
DUMPS = ("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2", "enwiki-table-markup.xml.bz2")
SOURCES = {"countries": "countryinfo", "statistics": "vega_datasets", "wikipedia": "gensim_wikipedia"}
LICENCES = {
    "countries": "MIT (countries)",
    "statistics": "of several origins (statistics)",
    "wikipedia": "CC BY-SA (Wikipedia)",
}
_REFERENCE = re.compile(r"<ref[^>]*/>|<ref.*?</ref>", re.DOTALL)
Named = tuple[str, dict[str, Any]]


def read(pool: str, sources: Mapping[str, Path], seed: int) -> Iterator[Named]:
    """Yield the tables of a pool with their ids; equal ones once.

    Raises:
        ParamsError: there is no such pool.
    """
    if pool not in _READERS:
        raise ParamsError(f"there is no pool of tables {pool!r}; {suggest(pool, _READERS)}")
    digests: set[str] = set()
    for name, table in _READERS[pool](sources[SOURCES[pool]], seed):
        digest = tables.digest(table)
        if digest not in digests:
            digests.add(digest)
            yield f"{pool}/{name}", {**table, "origin": pool}


def _countries(folder: Path, seed: int) -> Iterator[Named]:
    by_subregion: dict[str, list[list[str]]] = {}
    for file in sorted(folder.glob("*.json")):
        country = json.loads(file.read_text(encoding="utf-8"))
        if country.get("area") and country.get("population") and country.get("subregion"):
            row = [_joined(country.get(name)) for name in COUNTRY]
            by_subregion.setdefault(country["subregion"], []).append(row)
    for subregion, rows in sorted(by_subregion.items()):
        if len(rows) >= LEAST:
            table = {"header": list(HEADINGS), "rows": rows[:MOST_ROWS]}
            yield _slug(subregion), {**table, "caption": f"Countries of {subregion}"}


def _statistics(folder: Path, seed: int) -> Iterator[Named]:
    for name in STATISTICS:
        rows = _rows(folder / name)
        for number in range(TABLES):
            rng = RandomStream(seed, "table_claims", name, f"{number}")
            chosen = sorted(rng.choice(len(rows)).tolist()[:ROWS])
            header = list(rows[0])[:MOST_COLUMNS]
            cells = [[_joined(rows[index].get(column)) for column in header] for index in chosen]
            stem = name.partition(".")[0]
            headings = [heading.replace("_", " ") for heading in header]
            yield f"{stem}-{number}", {"header": headings, "rows": cells, "caption": stem}


def _rows(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    return json.loads(text) if file.suffix == ".json" else list(csv.DictReader(text.splitlines()))


def _joined(value: object) -> str:
    """A cell's text; of a list its members."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).strip()


def _wikipedia(folder: Path, seed: int) -> Iterator[Named]:
    for dump in DUMPS:
        yield from _of_dump(folder / dump)


@cache
def _of_dump(file: Path) -> list[Named]:
    """The tables of a dump; several datasets of a process are about the same ones."""
    with bz2.open(file) as stream:
        pages = list(_pages(stream.read()))
    return [
        (f"{_slug(title)}-{number}", {**table, "caption": table["caption"] or title})
        for title, text in pages
        for number, table in enumerate(_of_page(text))
    ]


def _pages(raw: bytes) -> Iterator[tuple[str, str]]:
    """Yield titles and texts of pages that have a table; a dump may have been cut behind its last page."""
    dump = raw if raw.rstrip().endswith(b"</mediawiki>") else raw + b"</mediawiki>"
    for page in ET.fromstring(dump).iterfind("{*}page"):
        text = page.findtext("{*}revision/{*}text") or ""
        if "{|" in text:
            yield page.findtext("{*}title") or "", text


def _of_page(text: str) -> Iterator[dict[str, Any]]:
    for table in _wikitext().parse(text).tables:
        cells = [row for row in table.cells(span=False) if row]
        if any(cell is None or {"rowspan", "colspan"} & set(cell.attrs) for row in cells for cell in row):
            continue
        header, *rows = [[_plain(cell.value) for cell in row] for row in cells] or [[]]
        regular = len({len(row) for row in [header, *rows]}) == 1 and len(rows) >= LEAST
        if regular and 1 < len(header) <= MOST_COLUMNS and all(header) and len(set(header)) == len(header):
            caption = _plain(table.caption or "")
            yield {"header": header, "rows": rows[:MOST_ROWS], "caption": caption}


def _wikitext() -> ModuleType:
    """The parser of wikitext.

    Raises:
        ParamsError: it is not installed; gives the command that installs it.
    """
    try:
        return importlib.import_module("wikitextparser")
    except ModuleNotFoundError:
        raise ParamsError(
            "the pool wikipedia needs wikitextparser, which is not installed; run `pip install 'shiftbench[tables]'`"
        ) from None


def _plain(text: str) -> str:
    plain = _wikitext().remove_markup(_REFERENCE.sub("", text))
    return " ".join(plain.replace("\N{NO-BREAK SPACE}", " ").split())


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")


_READERS = {"countries": _countries, "statistics": _statistics, "wikipedia": _wikipedia}
