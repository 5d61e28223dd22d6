"""Countries and releases of browsers, out of their source files."""

import gettext
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from shiftbench.systems.xtrust.datasets._catalogue import ENGLISH, LANGUAGES

COUNTRIES, NAMES, RELEASES = "countryinfo", "country_names", "browser_releases"
REGIONS = ("Africa", "Americas", "Asia", "Europe", "Oceania")
RELEASED = "2024-12-01"
"""The day from which events are unknown to SmolLM2-135M-Instruct, whose weights were published in November 2024."""


@dataclass(frozen=True, slots=True)
class Country:
    """A country or territory.

    Attributes:
        code: ISO 3166-1 alpha-2.
        names: language -> its name.
        region: one of REGIONS.
        capital: as countryinfo spells it, in Latin letters; empty where it is also another's, or in the English name.
        population: inhabitants.
    """

    code: str
    names: Mapping[str, str]
    region: str
    capital: str
    population: int


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a browser, and the day on which it was released (YYYY-MM-DD)."""

    product: str
    version: str
    date: str


@cache
def countries(facts: Path, names: Path) -> tuple[Country, ...]:
    """Return the countries with a region and inhabitants that ISO 3166-1 lists, by their codes.

    Args:
        facts: folder of countryinfo.
        names: folder of `country_names`.
    """
    called = dict(_names(names))
    rows = [json.loads(file.read_text("utf-8")) for file in sorted(facts.glob("*.json"))]
    known = {
        row["ISO"]["alpha2"]: row
        for row in rows
        if row.get("region") in REGIONS and row.get("population") and "ISO" in row
    }
    capitals = Counter(_capital(row) for row in rows)
    return tuple(
        Country(
            code,
            called[code],
            row["region"],
            _told_apart(_capital(row), called[code][ENGLISH], capitals),
            int(row["population"]),
        )
        for code, row in sorted(known.items())
        if code in called
    )


def _capital(row: Mapping[str, Any]) -> str:
    """Return a country's capital; a country of several has none here."""
    found = row.get("capital")
    return found if isinstance(found, str) else ""


def _told_apart(capital: str, country: str, capitals: Mapping[str, int]) -> str:
    """Return a capital that asks for knowledge: no other country's, and no word of it in the country's name."""
    words = set(re.findall(r"\w{4,}", capital.casefold()))
    given = words & set(re.findall(r"\w{4,}", country.casefold()))
    return "" if given or capitals[capital] > 1 else capital


def _names(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield code and names of each country; the common name goes before the official one."""
    listed = json.loads((folder / "databases/iso3166-1.json").read_text("utf-8"))["3166-1"]
    catalogues = {language: _messages(folder, language) for language in LANGUAGES}
    for row in listed:
        ways = [row[name] for name in ("common_name", "name") if name in row]
        names = {ENGLISH: ways[0]}
        for language, told in catalogues.items():
            translated = (told.gettext(way) for way in ways if told.gettext(way) != way)
            names[language] = next(translated, ways[0])
        yield row["alpha_2"], names


def _messages(folder: Path, language: str) -> gettext.GNUTranslations:
    place = {"zh": "zh_CN"}.get(language, language)
    with (folder / "locales" / place / "LC_MESSAGES" / "iso3166-1.mo").open("rb") as stream:
        return gettext.GNUTranslations(stream)


@cache
def releases(folder: Path) -> tuple[Release, ...]:
    """Return the releases from RELEASED on, by product and version."""
    browsers = json.loads((folder / "data.json").read_text("utf-8"))["browsers"]
    found = [
        Release(about["name"], version, one["release_date"])
        for about in browsers.values()
        for version, one in about["releases"].items()
        if one["status"] in ("current", "retired") and one.get("release_date", "") >= RELEASED
    ]
    return tuple(sorted(found, key=lambda one: (one.product, one.version)))
