"""A system is a card and component files: its commits touch nothing else, and nothing else refers to them."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from makers.repositories import HOME
from shiftbench import plugins
from shiftbench.plan import cards, scales

PACKAGE = HOME / "src/shiftbench"
ALLOWED = re.compile(
    rf"(systems|recorded|tests|docs)/|src/shiftbench/({'|'.join(plugins.FAMILIES)}|shifts_torch|sources)/"
    "|CHANGELOG.md|params/schema.json"  # the second is generated from the families' options
)
BUILT = scales.built(HOME)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=HOME, check=True, capture_output=True, text=True)
    return done.stdout


def builds(slug: str) -> list[str]:
    """Return the commits that made a card `built`."""
    found = git("log", "--format=%H", "-S", "status: built", "--", f"systems/{slug}.yaml").split()
    return [
        one for one in found if "\n+status: built" in git("show", one, "--", f"systems/{slug}.yaml")
    ]


@pytest.mark.parametrize("slug", BUILT)
def test_the_commit_that_adds_a_system_touches_only_its_places(slug: str) -> None:
    commits = builds(slug)
    shallow = git("rev-parse", "--is-shallow-repository").strip() == "true"
    changed = git("status", "--porcelain", f"systems/{slug}.yaml")
    assert commits or shallow or changed, f"no commit made systems/{slug}.yaml built"
    for commit in commits:
        files = git("show", "--format=", "--name-only", commit).split()
        assert [file for file in files if not ALLOWED.match(file)] == []


def own_files(slug: str) -> set[Path]:
    """Return the component files that one card names, and no other card or params file does."""
    asked = _named(cards.load(slug, HOME / "systems").needs["embedded"].model_dump())
    others = set()
    for other in set(cards.slugs(HOME / "systems")) - {slug}:
        card = cards.load(other, HOME / "systems")
        for needs in card.needs.values() if card.status == "built" else ():
            others |= _named(needs.model_dump())
    for file in (HOME / "params.yaml", *(HOME / "params").glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        others |= _named({family: list(content.get(family) or {}) for family in plugins.FAMILIES})
        others |= _named({"models": ["convnet", "vit"], "trainers": ["erm", "augmix"]})
        others |= _named({"shifts": ["rotate", "spatter"]})  # older than all cards
        others |= _named({"metrics": ["accuracy_drop"]})  # of several systems
        others |= _named({"datasets": ["photo_scenes"], "models": ["centre_points"]})  # likewise
        others |= _named({"trainers": ["boxes"], "metrics": ["map", "map50"]})
    return {
        PACKAGE / family / f"{name}.py"
        for family, name in asked - others
        if (PACKAGE / family / f"{name}.py").is_file()
    }


def _named(families: dict[str, object]) -> set[tuple[str, str]]:
    return {
        (family, name)
        for family, names in families.items()
        if family in plugins.FAMILIES and isinstance(names, list | tuple)
        for name in names
    }


@pytest.mark.parametrize("slug", BUILT)
def test_nothing_else_refers_to_a_system(slug: str) -> None:
    """No code names the card, and what it alone needs is imported by nothing but itself."""
    for file in (*(HOME / "workflow").rglob("*.smk"), HOME / "Snakefile", HOME / "params.yaml"):
        assert f"systems/{slug}" not in file.read_text()
    own = own_files(slug)
    modules = {f"shiftbench.{file.parent.name}.{file.stem}" for file in own}
    wrong = [file for file, names in imports().items() if file not in own and names & modules]
    assert wrong == [], f"imports what {slug} alone needs"


@functools.cache
def imports() -> dict[Path, set[str]]:
    """Return what each file of the package imports: modules, and names of modules."""
    return {file: set(_imported(ast.parse(file.read_text()))) for file in PACKAGE.rglob("*.py")}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
