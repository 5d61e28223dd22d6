"""What mkdocs calls while it builds the site: pages that lie elsewhere than in docs/, and links that fit both places.

docs/ is used as it is. Beside it stand README.md, CONTRIBUTING.md and others, a page for each published system (its
README.md), and what `shiftbench docs --site build/pages` wrote: a page for each shift, the commands. Links are written
for who reads the repository; here each is turned to where its file stands on the site. A file that is no page, such as
the source of a check, is put beside the pages as text.
"""

from __future__ import annotations

import functools
import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = "src/shiftbench/systems"
MADE = "build/pages"
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security_policy.md",
}
PICTURES = {".jpg", ".png"}
OTHERS = "Other tasks"
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(\))")


@functools.cache
def places() -> dict[str, str]:
    """Return where pages and pictures outside of docs/ stand on the site, by their path in the repository."""
    found = dict(ELSEWHERE)
    for file in sorted((ROOT / SYSTEMS).glob("*/*")):
        if file.name == "README.md":
            found[_name(file)] = f"systems/{file.parent.name}.md"
        elif file.suffix in PICTURES:
            found[_name(file)] = f"systems/{file.parent.name}/{file.name}"
    for file in sorted((ROOT / MADE).rglob("*.*")):
        found[_name(file)] = file.relative_to(ROOT / MADE).as_posix()
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add a page for each system and each shift to the navigation, in groups."""
    if not (ROOT / MADE).is_dir():
        raise PluginError(f"{MADE} is not here: `shiftbench docs --site {MADE}` writes it, or `make site` all")
    parts = {title: entries for part in config.nav or [] for title, entries in part.items()}
    parts["Systems"] += systems()
    parts["Shifts"] += shifts()
    return config


def systems() -> list[dict[str, Any]]:
    """Return the systems by the first field that their card names; a field of a single one is among the others."""
    groups: dict[str, list[dict[str, str]]] = {}
    for file in sorted((ROOT / SYSTEMS).glob("*/README.md")):
        card = yaml.safe_load(file.with_name("card.yaml").read_text())
        entry = {card["title"]: f"systems/{file.parent.name}.md"}
        groups.setdefault(card["family"].partition(",")[0], []).append(entry)
    shared = sorted((name for name in groups if len(groups[name]) > 1), key=str.casefold)
    single = [entry for group in groups.values() if len(group) == 1 for entry in group]
    return [*({name[0].upper() + name[1:]: groups[name]} for name in shared), {OTHERS: single}]


def shifts() -> list[dict[str, list[str]]]:
    """Return the shifts by their folder, which is named after what they change, large ones first."""
    groups = {
        folder.name: [f"shifts/{folder.name}/{page.name}" for page in sorted(folder.glob("*.md"))]
        for folder in sorted((ROOT / MADE / "shifts").iterdir())
    }
    order = sorted(groups, key=lambda name: (name == "others", -len(groups[name])))
    return [{name.replace("_", " ").capitalize(): groups[name]} for name in order]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/."""
    for name, place in places().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository to where these stand on the site."""
    at = page.file.src_uri
    if at == "list_of_shifts.md":
        markdown = _with_links(markdown)
    if at == "params/shifts.md":
        markdown = _with_pictures(markdown)
    name = {place: name for name, place in places().items()}.get(at, f"docs/{at}")

    def turned(link: re.Match[str]) -> str:
        opened, target, anchor, closed = link.groups()
        place = _place(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)), files, config)
        if place is None:
            return link[0]
        return f"{opened}{posixpath.relpath(place, posixpath.dirname(at) or '.')}{anchor or ''}{closed}"

    return _LINK.sub(turned, markdown)


def _place(name: str, files: Files, config: MkDocsConfig) -> str | None:
    """Return where a file of the repository stands on the site, put there as text if it is no page; None: no file."""
    if name in places():
        return places()[name]
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    if not (ROOT / name).is_file():
        return None
    place = f"source/{name}.txt"
    if place not in files.src_uris:
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return place


def _with_links(markdown: str) -> str:
    """Link each shift of the list to its page."""
    folders = {page.stem: page.parent.name for page in (ROOT / MADE / "shifts").glob("*/*.md")}
    return re.sub(
        r"^\| `(\w+)` \|",
        lambda row: f"| [`{row[1]}`](shifts/{folders[row[1]]}/{row[1]}.md) |",
        markdown,
        flags=re.MULTILINE,
    )


def _with_pictures(markdown: str) -> str:
    """Link each shift of the reference to its page with a picture."""
    folders = {page.stem: page.parent.name for page in (ROOT / MADE / "shifts").glob("*/*.md")}
    return re.sub(
        r"^### `(\w+)`$",
        lambda heading: f"{heading[0]}\n\n[Page with an example](../shifts/{folders[heading[1]]}/{heading[1]}.md)",
        markdown,
        flags=re.MULTILINE,
    )


def _name(file: Path) -> str:
    return PurePosixPath(file.relative_to(ROOT)).as_posix()
