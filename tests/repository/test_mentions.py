"""Names of files, modules and functions in documents: they exist."""

import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolation import ROOT

PATH = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|yaml|md|smk|toml|jsonl?))`")
IN_FILE = re.compile(r"`(\w+)(?:\([^`]*\))?` in `([\w/]+\.py)`")
DOTTED = re.compile(r"`(shiftbench(?:\.\w+)+)(?:\([^`]*\))?`")
EXAMPLE = re.compile(r"(^|[/_.])([A-Z][A-Z_]+)\b|^(mine|your_folder)/|^\.")
"""Paths with a word to replace (TYPE/NAME.py), of a reader's folder, or hidden."""


@functools.cache
def files() -> frozenset[str]:
    """Tracked files by each end of their path: `a/b/c.py`, `b/c.py`, `c.py`."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = [line.split("/") for line in listed.splitlines()]
    return frozenset("/".join(path[start:]) for path in paths for start in range(len(path)))


def definitions(name: str) -> Iterator[str]:
    """Texts of the files whose path ends in a name."""
    found = (file for folder in ("src", "tests") for file in (ROOT / folder).rglob(Path(name).name))
    yield from (file.read_text() for file in found if file.as_posix().endswith(f"/{name}"))


def is_defined(name: str, text: str) -> bool:
    return re.search(rf"^ *(def|class) {name}\b|^{name}\b.*=|import .*\b{name}\b", text, re.MULTILINE) is not None


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name that a module defines."""
    *parents, last = dotted.split(".")
    module = ROOT / "src" / "/".join([*parents, last])
    if module.is_dir() or module.with_suffix(".py").is_file():
        return True
    parent = ROOT / "src" / "/".join(parents)
    file = parent / "__init__.py" if parent.is_dir() else parent.with_suffix(".py")
    if file.is_file():
        return is_defined(last, file.read_text())
    return len(parents) > 1 and exists(".".join(parents))  # an attribute of a class


def missing(text: str) -> set[str]:
    """Mentions of a text that name nothing."""
    paths = {path for path in PATH.findall(text) if not EXAMPLE.search(path) and path not in files()}
    functions = {
        f"{name} in {file}"
        for name, file in IN_FILE.findall(text)
        if not any(is_defined(name, one) for one in definitions(file))
    }
    return paths | functions | {name for name in DOTTED.findall(text) if not exists(name)}


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "params"], ids=lambda page: page.name)
def test_a_document_names_what_exists(page: Path) -> None:
    assert missing(page.read_text()) == set()


def test_a_missing_name_is_found() -> None:
    text = "`data/gone.py`, `gone` in `data/boxes.py`, `shiftbench.data.gone`"
    examples = "`TYPE/NAME.py`, `mine/a.py`, `data/boxes.py`, `move_boxes` in `data/boxes.py`, `shiftbench.corrupt`"
    assert missing(examples) == set()
    assert missing(text) == {"data/gone.py", "gone in data/boxes.py", "shiftbench.data.gone"}


def test_messages_that_the_page_of_troubles_explains_are_printed() -> None:
    """Between `...`, which is for values, a message on the page is a part of a text in the code."""
    files = [*(ROOT / "src/shiftbench").rglob("*.py"), ROOT / "Makefile"]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in files))  # texts of several lines
    page = (ROOT / "docs/troubleshooting.md").read_text()
    messages = re.findall(r"^- \*\*`(.+)`\*\*$", page, re.M)
    parts = [part.strip(" ,;:()`") for message in messages for part in message.split("...")]
    assert len(messages) > 12
    assert [part for part in parts if part not in code] == []
