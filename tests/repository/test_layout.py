"""The house: which package may import which, no circles, systems apart from each other and from the core."""

import ast
import functools
import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isolation import ROOT as HOME
from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.base.registry import Home
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans

PACKAGE = HOME / "src/shiftbench"
FAMILIES = (*registry.PLUGIN_TYPES, "shifts_torch")
LAYERS = (
    "base.errors base.library_imports base.sample",
    "base.compiled base.files base.progress base.refs base.rng",
    "base.rng_torch base.registry",
    "data",
    "provenance statistics",
    "evaluation",
    "plugins.contracts",
    "plugins",
    "systems imagecorruptions",
    "report",
    "workflow.plan",
    "workflow.storage",
    "workflow.stages",
    "workflow.engine workflow.tools",
    "contracts",
    "release",
    "audit",
    "cli.documents",
    "cli",
    "__main__",
)
"""From the ground up: a line may be imported by all lines below it, and imports from the lines above it alone."""
RANK = {name: number for number, line in enumerate(LAYERS) for name in line.split()}
ROOMS = list(dict.fromkeys(name.partition(".")[0] for name in RANK))
AT_THE_TOP = 15
MARKS = {"__init__.py", "__main__.py", "py.typed", "__pycache__"}


@functools.cache
def modules() -> dict[str, Path]:
    """All modules of the package by dotted name; templates are files to copy."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        if "templates" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@functools.cache
def imports() -> dict[str, frozenset[str]]:
    """What each module imports of the package, at its top or within functions, for types too."""
    return {name: frozenset(imported(file) - {name}) for name, file in modules().items()}


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shiftbench"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else str(node.module))
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("shiftbench")}
    return found


def place(module: str) -> str:
    """Return the word of LAYERS that a module belongs to; "" for the package itself and for a room's `__init__.py`."""
    parts = module.split(".")[1:]
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((name for name in names if name in RANK), "")


def test_each_module_imports_from_what_stands_below_it() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in imports().items()
        for other in others
        if place(name) and place(other) and place(other) != place(name)
        if RANK[place(other)] >= RANK[place(name)]
    ]
    assert wrong == []


def test_there_is_no_circle_of_imports() -> None:
    assert list(circles(imports())) == []


def circles(graph: dict[str, frozenset[str]]) -> Iterator[str]:
    """Yield circles: of modules that nothing outside of the rest reaches any more (Kahn's order)."""
    left = {name: set(others) & graph.keys() for name, others in graph.items()}
    while ready := [name for name, others in left.items() if not others]:
        for name in ready:
            del left[name]
        for others in left.values():
            others.difference_update(ready)
    yield from (f"{name} -> {', '.join(sorted(others))}" for name, others in left.items())


def test_a_circle_would_be_found() -> None:
    """Over drawn graphs: an order exists, or the modules of a circle are named."""
    graph = {"a": frozenset("b"), "b": frozenset("c"), "c": frozenset("a"), "d": frozenset("a")}
    assert {line[0] for line in circles(graph)} == {"a", "b", "c", "d"}
    assert list(circles({**graph, "c": frozenset()})) == []


def test_no_stage_is_imported_by_a_string() -> None:
    """A reader cannot follow an import by a computed name; `cli/stages.py` has the one table of verbs."""
    calls = re.compile(r"import_module\(\s*f?\"shiftbench[.\w{}\[\]]*\"")
    found = {name for name, file in modules().items() if calls.search(file.read_text())}
    assert {name for name in found if place(name) in ("workflow.stages", "evaluation", "workflow.plan")} == set()


def test_the_top_of_the_package_can_be_taken_in_at_a_glance() -> None:
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.name not in MARKS}
    assert rooms == {name for name in ROOMS if name not in MARKS and name != "__main__"}
    assert len(rooms) <= AT_THE_TOP


@pytest.mark.parametrize("package", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_package_says_what_lives_in_it(package: str) -> None:
    """Two sentences at least: what, and what it may import."""
    doc = ast.get_docstring(ast.parse((PACKAGE / package / "__init__.py").read_text())) or ""
    assert len(re.findall(r"[.;:](\s|$)", doc)) >= 2, f"{package}: {doc!r}"


# ---------------------------------------------------------------------- systems


def systems_of(module: str) -> str:
    parts = module.split(".")
    return parts[2] if parts[1:2] == ["systems"] and len(parts) > 2 else ""


def test_no_system_imports_another_and_the_core_imports_none() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in imports().items()
        for other in others
        if systems_of(other) not in ("", systems_of(name))
    ]
    assert wrong == []


def test_the_core_names_no_system_but_to_discover_them() -> None:
    """As text, too: no name of a module below `shiftbench.systems.` outside of it."""
    named = {
        name for name, file in modules().items() if not systems_of(name) and "shiftbench.systems." in file.read_text()
    }
    assert named == {"shiftbench.base.registry"}


def test_names_are_unique_over_all_homes() -> None:
    twice = [
        f"{family}/{name}: {[home.package for home in homes]}"
        for family in FAMILIES
        for name, homes in registry.packaged_names(family).items()
        if len(homes) > 1
    ]
    assert twice == []


def test_a_name_in_two_homes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine/shifts").mkdir(parents=True)
    (tmp_path / "mine/shifts/fog.py").write_text("")
    monkeypatch.setattr(registry.Folders, "extra", (tmp_path / "mine",))
    with pytest.raises(PluginError, match=r"two files for shifts 'fog': .*fog.py and .*mine/shifts"):
        registry.find("shifts", "fog")


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Take homes out of the package, as if their folders were deleted."""
    whole = registry.packaged()

    def take(*gone: Home) -> None:
        left = tuple(home for home in whole if home not in gone)
        monkeypatch.setattr(registry, "packaged", lambda: left)
        registry.packaged_names.cache_clear()

    yield take
    registry.packaged_names.cache_clear()


def test_without_any_system_the_core_plans_what_is_its_own(without, pristine, monkeypatch) -> None:
    monkeypatch.chdir(pristine)
    without(*(home for home in registry.packaged() if home.package != "shiftbench.plugins"))
    assert cards.slugs() == []
    for scale in (None, *(file.stem for file in sorted((HOME / "params").glob("*.yaml")))):
        assert plans.Plan.of(configurations.load(scale)).artifacts, scale


@pytest.mark.parametrize("slug", configurations.built_slugs())
def test_a_system_needs_the_core_and_itself(slug: str, without, pristine, monkeypatch) -> None:
    """With every other system's folder away, its smoke scale can be planned."""
    monkeypatch.chdir(pristine)
    own = cards.file(slug).parent
    without(*(h for h in registry.packaged() if h.package != "shiftbench.plugins" and h.folder != own))
    assert cards.slugs() == [slug]
    assert plans.Plan.of(configurations.load(f"systems/{slug}/smoke")).artifacts


@pytest.mark.parametrize("slug", cards.slugs())
def test_the_commit_that_builds_a_system_touches_only_its_places(slug: str) -> None:
    """Its folder, tests and docs; what several systems share is a commit of its own, before."""
    name = cards.file(slug).relative_to(PACKAGE.parents[1]).as_posix()
    commits = git("log", "--format=%H", "--diff-filter=M", "-G", "^status: built", "--", name)
    allowed = re.compile(
        rf"src/shiftbench/systems/{slug.replace('-', '_')}/|tests/|docs/|(README|CHANGELOG).md|params/schema.json"
    )
    for commit in commits.split():
        files = git("show", "--format=", "--name-only", commit).split()
        assert [file for file in files if not allowed.match(file)] == []


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=HOME, check=True, capture_output=True, text=True)
    return done.stdout


# ---------------------------------------------------------------------- the walk of docs/design.md

WALK = "## One sample, from its source file to the page"
MOST_FILES, MOST_TURNS = 35, 8


def steps() -> list[tuple[str, str]]:
    """The files that the walk names, in its order, each with the functions named next to it."""
    text = (HOME / "docs/design.md").read_text()
    walk = text[text.index(WALK) :].partition("\n## Recipes")[0]
    return re.findall(r"^\| `([\w/]+\.py)` \| (.*?) \|", walk, re.M)


def test_a_reader_can_follow_the_walk() -> None:
    names = [name for name, _ in steps()]
    ranks = [RANK[place(f"shiftbench.{name.removesuffix('.py').replace('/', '.')}")] for name in names]
    turns = [after for before, after in itertools.pairwise(ranks) if after > before]
    assert len(set(names)) <= MOST_FILES
    assert len(turns) <= MOST_TURNS
    stated = f"The walk names {len(set(names))} files and goes up to a higher room {len(turns)} times"
    assert stated in (HOME / "docs/design.md").read_text()
    assert "fetch shift train evaluate score aggregate report".split() == [
        Path(name).stem for name in names if name.startswith("workflow/stages/")
    ]


@pytest.mark.parametrize(("name", "functions"), steps())
def test_the_walk_names_what_exists(name: str, functions: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    here = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    here |= {
        f"{name}.{node.name}" for name, one in classes.items() for node in one.body if isinstance(node, ast.FunctionDef)
    }
    assert set(re.findall(r"`([\w.]+)`", functions)) <= here
