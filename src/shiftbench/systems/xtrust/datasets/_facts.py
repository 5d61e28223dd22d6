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
    """The countries with a region and inhabitants that ISO 3166-1 lists, by their codes.

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
            _unambiguous_capital(_capital(row), called[code][ENGLISH], capitals),
            int(row["population"]),
        )
        for code, row in sorted(known.items())
        if code in called
    )


def _capital(row: Mapping[str, Any]) -> str:
    """A country's capital; a country of several has none here."""
    capital = row.get("capital")
    return capital if isinstance(capital, str) else ""


def _unambiguous_capital(capital: str, country: str, capitals: Mapping[str, int]) -> str:
    """A capital that asks for knowledge: no other country's, and no word of it in the country's name."""
    words = set(re.findall(r"\w{4,}", capital.casefold()))
    shared_words = words & set(re.findall(r"\w{4,}", country.casefold()))
    return "" if shared_words or capitals[capital] > 1 else capital


def _names(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield code and names of each country; the common name goes before the official one."""
    listed = json.loads((folder / "databases/iso3166-1.json").read_text("utf-8"))["3166-1"]
    catalogues = {language: _messages(folder, language) for language in LANGUAGES}
    for row in listed:
        english_names = [row[name] for name in ("common_name", "name") if name in row]
        names = {ENGLISH: english_names[0]}
        for language, translations in catalogues.items():
            translated = (
                translations.gettext(english_name)
                for english_name in english_names
                if translations.gettext(english_name) != english_name
            )
            names[language] = next(translated, english_names[0])
        yield row["alpha_2"], names


def _messages(folder: Path, language: str) -> gettext.GNUTranslations:
    place = {"zh": "zh_CN"}.get(language, language)
    with (folder / "locales" / place / "LC_MESSAGES" / "iso3166-1.mo").open("rb") as stream:
        return gettext.GNUTranslations(stream)


@cache
def releases(folder: Path) -> tuple[Release, ...]:
    """The releases from RELEASED on, by product and version."""
    browsers = json.loads((folder / "data.json").read_text("utf-8"))["browsers"]
    rows = [
        Release(browser["name"], version, release["release_date"])
        for browser in browsers.values()
        for version, release in browser["releases"].items()
        if release["status"] in ("current", "retired") and release.get("release_date", "") >= RELEASED
    ]
    return tuple(sorted(rows, key=lambda release: (release.product, release.version)))
