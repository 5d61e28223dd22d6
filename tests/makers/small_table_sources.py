"""Miniatures of what tables are read from (countryinfo, vega-datasets, dumps of Wikipedia), and claims about them."""

import bz2
import json
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.data import splits
from shiftbench.systems.repanda.datasets import _pools

ISLANDS = {
    "header": ["Name", "Area", "Kind"],
    "rows": [["Ada", "1,200", "x"], ["Bea", "300.5", "y"], ["Cleo", "-", "x"]],
    "caption": "islands",
}

LAKES = """{| class="wikitable"
|+ '''Lakes''' of the north
! Lake !! Area (km<sup> 2</sup>)<ref name="a">{{cite web|url=x}}</ref>
|-
| [[Lake Como|Como]] || 146
|-
| [[Lake Garda|Garda]]
| style="text-align:right" | 370<ref>b</ref>
|-
| ''Iseo'' || 65
|-
| Orta || 18
|}"""
SPANNED = LAKES.replace("| Orta || 18", '| colspan="2" | Orta')
FEW = "{|\n! a !! b\n|-\n| 1 || 2\n|}"


def make(folder: Path) -> dict[str, Path]:
    """Write the miniatures below a folder, and return where each source is."""
    found = {name: folder / name for name in _pools.SOURCES.values()}
    for own in found.values():
        own.mkdir()
    _countries(found["countryinfo"])
    _statistics(found["vega_datasets"])
    _dumps(found["gensim_wikipedia"])
    return found


def _countries(folder: Path) -> None:
    for number in range(9):
        about = {
            "name": f"Isle {number}",
            "capital": f"Town {number}",
            "area": 100 + 7 * number,
            "population": 1000 * (number + 1),
            "subregion": "Northern Isles" if number < 6 else "Southern Isles",
            "currencies": ["ISK"],
            "languages": ["is", "en"],
            "callingCodes": [f"{350 + number}"],
        }
        if number == 5:
            del about["area"]
        (folder / f"isle_{number}.json").write_text(json.dumps(about))


def _statistics(folder: Path) -> None:
    for name in _pools.STATISTICS:
        stem = name.partition(".")[0]
        rows = [{f"yield_{stem}": 20 + (number * 7) % 31, "plot_name": f"{stem} {number}"} for number in range(20)]
        lines = [f"yield_{stem},plot_name", *(",".join(map(str, row.values())) for row in rows)]
        text = json.dumps(rows) if name.endswith(".json") else "\n".join(lines)
        (folder / name).write_text(text)


def _dumps(folder: Path) -> None:
    pages = [
        _page("Page of lakes", f"Some lakes.\n{LAKES}\n{FEW}"),
        _page("Spans", SPANNED),
        _page("Nothing", "No table."),
    ]
    whole = f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{"".join(pages)}'
    first, second = _pools.DUMPS
    (folder / first).write_bytes(bz2.compress(whole.encode()))  # cut behind its last page
    twice = f"<mediawiki>{_page('The same lakes', LAKES)}</mediawiki>"
    (folder / second).write_bytes(bz2.compress(twice.encode()))


def _page(title: str, text: str) -> str:
    from xml.sax.saxutils import escape

    return f"<page><title>{title}</title><revision><text>{escape(text)}</text></revision></page>"


def claims(name: str, sources: dict[str, Path], split: str = "test", **options: Any) -> list[Sample]:
    """Return the claims of a split of one of RePanda's datasets."""
    module = registry.find("datasets", name)
    params = {**defaults(module), "name": name, **options}
    native = module.samples(splits.native(split, module), sources, params)
    return [one for one in splits.select_split(native, split, module) if isinstance(one, Sample)]
