"""Hooks of mkdocs: pages from outside of docs/, notebooks, links that fit repository and site, and details of tables.

docs/ is used as it is. The site also has README.md, CONTRIBUTING.md and others, a page for each published system (its
README.md), and the pages that `shiftbench docs --site build/pages` writes: a page for each shift, and the commands. A
notebook is a page with its stored outputs; nothing runs. Links are written for readers of the repository. Here, each is
turned to the place of its file on the site. A file that is no page, such as the source of a check, is added as text.
"""

from __future__ import annotations

import base64
import functools
import html
import json
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = "src/shiftbench/systems"
MADE = "build/pages"
REPORT = "build/smoke/results/report"
"""The report of `make smoke`: a part of the site if it was made before."""
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security_policy.md",
    "published/README.md": "published.md",
}
PICTURES = {".jpg", ".png"}
OTHERS = "Other tasks"
NOTEBOOK = ".ipynb"
WIDE = {"comparison.md", "leaderboard.md", "systems.md"}
"""Pages whose tables take the room of the contents."""
_LINK = re.compile(r"(\]\(<?)([^)\s#:<>]+)(#[^)\s<>]*)?(>?\))")
_VERDICTS = re.compile(r"\| (\d+) / (\d+) / (\d+) \|")
_INTERVAL = re.compile(r"(?<=\| )[\d.,%\N{MINUS SIGN}]+ (?:\[[^\]|]*\]|\([\d., \N{MINUS SIGN}]+\))(?= \|)")
_REPORT_LINK = '<a href="report/index.html">The report of <code>make smoke</code></a>, as it was made with this site.'
_DATE = re.compile(r"(?<=\| )\d{4}-\d\d-\d\d(?= \|)")
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_TARGET = re.compile(r"""<[a-z]+\b[^>]*?\s(?:href|src)=(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_ANCHOR = re.compile(r"""\s(?:id|name)=(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


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
    """Add the files from outside of docs/, and a page for each notebook."""
    for name, place in places().items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    for notebook in sorted((ROOT / "docs/notebooks").glob(f"*{NOTEBOOK}")):
        for place, content in notebook_files(notebook).items():
            files.append(File.generated(config, f"notebooks/{place}", content=content))
    return files


def notebook_files(notebook: Path) -> dict[str, str | bytes]:
    """Return the page of a notebook with its stored outputs, and its pictures, by their place next to the notebook."""
    files: dict[str, str | bytes] = {}
    parts = []
    for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {"text/plain": output.get("text", "")})
            if "image/png" in data:
                picture = f"{notebook.stem}_{number}.png"
                files[picture] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Figure that the code above draws]({picture})")
            elif markup := data.get("image/svg+xml") or data.get("text/html"):
                one_line = _STYLE.sub("", "".join(markup)).replace("\n", " ")
                parts.append(f'<div class="output">{one_line}</div>')
            else:
                parts.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    parts.append(f"[Download this notebook]({notebook.name})")
    return {f"{notebook.stem}.md": "\n\n".join(parts) + "\n", **files}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository to the places of these files on the site, and dress the page."""
    at = page.file.src_uri
    if at in WIDE:
        page.meta["hide"] = ["toc"]
    if at.startswith("tutorial/"):
        page.meta["search"] = {"boost": 2}
    markdown = _dressed(markdown, at)
    name = {place: name for name, place in places().items()}.get(at, f"docs/{at}")
    is_notebook = (ROOT / name).with_suffix(NOTEBOOK).is_file()

    def turned(link: re.Match[str]) -> str:
        opened, target, anchor, closed = link.groups()
        place = _place(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)), files, config)
        if place is None:
            return link[0]
        if place.endswith(NOTEBOOK) and not is_notebook:
            place = place.removesuffix(NOTEBOOK) + ".md"
        return f"{opened}{posixpath.relpath(place, posixpath.dirname(at) or '.')}{anchor or ''}{closed}"

    return _LINK.sub(turned, markdown)


def _dressed(markdown: str, at: str) -> str:
    """Add to a page the parts that only the site has: links, pictures, bars of verdicts, values on one line."""
    if at == "list_of_shifts.md":
        markdown = _with_links(markdown)
    if at == "params/shifts.md":
        markdown = _with_pictures(markdown)
    if at == "index.md" and (ROOT / REPORT / "index.html").is_file():
        markdown = markdown.replace("## Quick start\n", f"{_REPORT_LINK}\n\n## Quick start\n", 1)
    markdown = _VERDICTS.sub(_bar, markdown)
    for whole in (_INTERVAL, _DATE):
        markdown = whole.sub(lambda value: f'<span class="interval">{value[0]}</span>', markdown)
    return markdown


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


def _bar(cell: re.Match[str]) -> str:
    """Draw the numbers of supported, refuted and inconclusive claims as a bar, in front of the numbers."""
    counts = dict(zip(("supported", "refuted", "inconclusive"), map(int, cell.groups()), strict=True))
    spelled = ", ".join(f"{count} {name}" for name, count in counts.items())
    parts, left = [], 0
    for name, count in counts.items():
        parts.append(f'<rect class="{name}" x="{6 * left}" width="{6 * count}" height="10"/>')
        left += count
    size = f'width="{6 * left}" height="10" viewBox="0 0 {6 * left} 10"'
    bar = f'<svg {size} role="img" aria-label="{spelled}">{"".join(parts)}</svg>' if left else ""
    return f'| <span class="verdicts" title="{spelled}">{" / ".join(map(str, counts.values()))} {bar}</span> |'


def on_post_build(config: MkDocsConfig) -> None:
    """Add the report, and end the build at a link in any HTML page that leads nowhere; mkdocs looks at Markdown alone.

    The report's own pages are no pages of the site, and have tests of their own.
    """
    site = Path(config.site_dir)
    pages = {file: file.read_text() for file in sorted(site.rglob("*.html")) if file.name != "404.html"}
    anchors = {file: {html.unescape("".join(found)) for found in _ANCHOR.findall(text)} for file, text in pages.items()}
    if (ROOT / REPORT / "index.html").is_file():
        shutil.copytree(ROOT / REPORT, site / "report", dirs_exist_ok=True)
    dead = [f"{file.relative_to(site)}: {link}" for file in pages for link in _dead(site, file, pages[file], anchors)]
    if dead:
        raise PluginError("links lead nowhere:\n" + "\n".join(dead))


def _dead(site: Path, file: Path, text: str, anchors: dict[Path, set[str]]) -> Iterator[str]:
    """Yield the links of a page to files or anchors that do not exist; addresses of other sites are not asked."""
    for link in {html.unescape("".join(found)) for found in _TARGET.findall(text)}:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        target = target / "index.html" if target.is_dir() else target
        wanted = unquote(parts.fragment)
        missing_anchor = wanted and target in anchors and wanted not in anchors[target] and not wanted.startswith("__")
        if not target.is_relative_to(site) or not target.is_file() or missing_anchor:
            yield link


def _name(file: Path) -> str:
    return PurePosixPath(file.relative_to(ROOT)).as_posix()
