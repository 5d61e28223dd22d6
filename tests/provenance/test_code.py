"""Code digests: what decides an output moves them, and nothing else does; on every Python alike."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.provenance import code_digest, source_facts, source_names

PLUGIN = "shifts/x.py"
HELPER = "shifts/_helper.py"
OTHER_HELPER = "shifts/_other.py"
TREE = {
    PLUGIN: '''
"""Doc."""
from __future__ import annotations
import enum, math
from dataclasses import dataclass
from typing import TYPE_CHECKING
from mine.shifts import _helper, _loud
from mine.shifts._helper import LEVELS as levels, Error
from mine.shifts._other import *
if TYPE_CHECKING:
    from mine.shifts import _types

PARAMS = {"a": 1}
_calls = 0

def apply(value: _types.Value, severity: float = 1.0, *, cut: int = 2) -> float:
    """Doc."""
    global _calls
    _calls += 1
    first: int = _helper.half(value) + levels[2]
    try:
        total = sum(part for part in _parts(first, sign=-1))
    except Error as error:
        raise ValueError(f"{error!r:>{cut}} {first}") from None
    return _Kind.ONE.of(total) + starred(cut) + _Point(1, 2).y

def _parts(count, sign):
    def inner(x):
        nonlocal count
        count += 1
        return lambda *, q=1: q * x
    from mine.shifts import _lazy
    match count:
        case {"k": [1, *rest], **others} if rest:
            yield from others
        case int(real=1) | None:
            yield _lazy.late(inner(sign)(q=2))
        case found:
            yield [walked for walked in range(found) if (half := walked / 2) > 1]

class _Kind(enum.Enum):
    ONE = 1
    TWO = 2

    def of(self, x):
        return x * self.value + self.unasked()

    def unasked(self):
        return 7

@dataclass
class _Point:
    x: int
    y: float = 3

def _unused():
    return levels
''',
    HELPER: """
LEVELS = {1: 0.5, 2: -0.0}
FAR = 3
class Error(Exception):
    pass
class Fault(Exception):
    pass
def half(x):
    return _double(x) / 4 + FAR
def _double(x):
    return 2 * x if x < 9 else half(x - 1)
def unused(x):
    return x + 99
""",
    OTHER_HELPER: "def starred(x):\n    return x + 5\n",
    "shifts/_types.py": "Value = float\n",
    "shifts/_lazy.py": "LATE = 3\ndef late(x):\n    return x - LATE\n",
    "shifts/_loud.py": "import mine.shifts._state as s\ns.TABLE.append(4)\ndef quiet():\n    return 1\n",
    "shifts/_state.py": "TABLE = [1]\n",
}
Edit = tuple[str, str, str]
SAME: dict[str, Sequence[Edit]] = {
    "a comment": [(PLUGIN, "    return _Kind", "    # why\n    return _Kind")],
    "a docstring": [(PLUGIN, '    """Doc."""\n    global', "    global")],
    "another docstring": [(PLUGIN, '"""Doc."""\nfrom', '"""What it is."""\nfrom')],
    "formatting": [(HELPER, "{1: 0.5, 2: -0.0}", "{\n    1: 0.5,\n    2: -0.0,\n}")],
    "an annotation": [(PLUGIN, "value: _types.Value", "value: int")],
    "no annotation": [(PLUGIN, ") -> float:", "):")],
    "an annotation of a variable": [(PLUGIN, "first: int =", "first =")],
    "an annotation of a constant": [(HELPER, "FAR = 3", "FAR: int = 3")],
    "what types are imported": [("shifts/_types.py", "float", "int")],
    "a local name": [(PLUGIN, "total = sum", "result = sum"), (PLUGIN, "of(total)", "of(result)")],
    "a name that a comprehension binds": [(PLUGIN, "part for part in", "p for p in")],
    "a name that a pattern binds": [
        (PLUGIN, "[1, *rest], **others} if rest", "[1, *more], **those} if more"),
        (PLUGIN, "yield from others", "yield from those"),
    ],
    "a function within": [(PLUGIN, "def inner", "def within"), (PLUGIN, "inner(sign)", "within(sign)")],
    "a function": [(PLUGIN, "def _parts", "def _pieces"), (PLUGIN, "_parts(first", "_pieces(first")],
    "a function of a helper": [
        (HELPER, "def half", "def part"),
        (HELPER, "else half", "else part"),
        (PLUGIN, "_helper.half", "_helper.part"),
    ],
    "a constant of a helper": [(HELPER, "LEVELS", "ALL"), (PLUGIN, "LEVELS as", "ALL as")],
    "how it is imported": [
        (PLUGIN, "import _helper, _loud", "import _loud, _helper as h"),
        (PLUGIN, "_helper.half", "h.half"),
    ],
    "where it is imported": [
        (PLUGIN, "    from mine.shifts import _lazy\n", ""),
        (PLUGIN, "PARAMS", "import mine.shifts._lazy as _lazy\nPARAMS"),
    ],
    "order": [(HELPER, "FAR = 3\n", ""), (HELPER, "def unused", "FAR = 3\ndef unused")],
    "what nothing reaches": [(HELPER, "x + 99", "x + 98")],
    "what nothing reaches in the plugin": [(PLUGIN, "    return levels\n", "    return 1\n")],
    "a class that nothing reaches": [(HELPER, "class Fault(Exception)", "class Fault(KeyError)")],
    "a definition that moves": [
        (HELPER, "FAR = 3\n", "from mine.shifts._lazy import FAR\n"),
        ("shifts/_lazy.py", "LATE = 3\n", "FAR = 3\nLATE = 3\n"),
    ],
}
OTHER: dict[str, Sequence[Edit]] = {
    "a constant": [(HELPER, "1: 0.5", "1: 0.6")],
    "an int for a float": [(HELPER, "1: 0.5", "1: 5")],
    "a sign": [(HELPER, "-0.0", "0.0")],
    "a default": [(PLUGIN, "q=1", "q=2")],
    "a default of what is offered": [(PLUGIN, "severity: float = 1.0", "severity: float = 1.5")],
    "a parameter": [(PLUGIN, "def _parts(count, sign)", "def _parts(count, sign=0)")],
    "a keyword": [(PLUGIN, "first, sign=-1", "count=first, sign=-1")],
    "a text": [(PLUGIN, '"k":', '"l":')],
    "a format": [(PLUGIN, "!r:>", "!s:>")],
    "an attribute": [(PLUGIN, "_Kind.ONE.of", "_Kind.TWO.of")],
    "a member": [(PLUGIN, "    TWO = 2", "    TWO = 3")],
    "order of members": [(PLUGIN, "    ONE = 1\n    TWO = 2", "    TWO = 2\n    ONE = 1")],
    "a method that nobody names": [(PLUGIN, "return 7", "return 8")],
    "a field": [(PLUGIN, "    x: int\n", "    x: float\n")],
    "a decorator": [(PLUGIN, "@dataclass", "@dataclass(frozen=True)")],
    "the name of a class": [(PLUGIN, "class _Point", "class _Place"), (PLUGIN, "_Point(1", "_Place(1")],
    "another class that is caught": [(PLUGIN, "LEVELS as levels, Error", "LEVELS as levels, Fault as Error")],
    "a global that is local": [(PLUGIN, "    global _calls\n    _calls += 1\n", "    _calls = 1\n")],
    "a pattern": [(PLUGIN, "real=1", "real=2")],
    "recursion": [(HELPER, "else half(x - 1)", "else _double(x - 1)")],
    "what a star brings": [(OTHER_HELPER, "x + 5", "x + 6")],
    "what is imported late": [("shifts/_lazy.py", "LATE = 3", "LATE = 4")],
    "what a module does when it is imported": [("shifts/_loud.py", "append(4)", "append(5)")],
    "what that works on": [("shifts/_state.py", "[1]", "[2]")],
    "an option": [(PLUGIN, '"a": 1', '"a": 2')],
    "what is offered": [(PLUGIN, "_calls = 0", "_calls = 0\nFIELD = 1")],
    "a text that documents nothing": [(PLUGIN, "    global", "    1\n    'Doc.'\n    global")],
    "which library": [(PLUGIN, "enum, math", "enum, cmath as math"), (PLUGIN, "return _Kind", "math.pi; return _Kind")],
}
UNKNOWN = {
    "an attribute that is computed": "getattr(_far, name)",
    "globals of a module": "vars(_far)[name]",
    "a module as a value": "print(_far)",
    "a name that is in a text": "__import__('importlib').import_module('mine.shifts._far')",
    "a name that is put together": "__import__('importlib').import_module(f'mine.shifts.{name}')",
    "what its text lacks": "_far.anything",
}
"""Ways to reach a definition that no name leads to."""
WITHIN = {
    "globals": "globals()[name]",
    "eval": "eval(name)",
    "exec": "exec(name)",
    "modules": "__import__('sys').modules[__name__]",
}
"""Likewise, in the module itself."""
TOLD = {
    "the name of a function": ("told.__name__", "told", "renamed"),
    "a docstring": ("told.__doc__", "Doc.", "What."),
    "an annotation": ("told.__annotations__", "x: int", "x: float"),
    "by a library": ("__import__('inspect').signature(told)", "x: int", "x: float"),
    "by a text": ("getattr(told, '__qualname__')", "told", "renamed"),
}
"""What else only tells, where something reads it."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin folder of the user's own, in use."""
    folder = tmp_path / "mine"
    monkeypatch.setattr(registry.Folders, "extra", (folder,))
    return folder


def write(home: Path, name: str, text: str) -> Path:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    return home / name


def planted(home: Path, edits: Sequence[Edit] = (), tree: dict[str, str] = TREE) -> Path:
    """Write the tree with edits; returns the plugin."""
    texts = dict(tree)
    for name, old, new in edits:
        assert old in texts[name], (name, old)
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        write(home, name, text)
    return home / PLUGIN


def digest(*roots: Path) -> str:
    code_digest.forget()
    return code_digest.of(roots).linked


def names(*roots: Path) -> set[str]:
    code_digest.forget()
    return {name for name, _ in code_digest.named_digests(code_digest.of(roots).table)}


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_what_computes_nothing_is_not_seen(home: Path, edits: Sequence[Edit]) -> None:
    before = digest(planted(home))
    assert digest(planted(home, edits)) == before


@pytest.mark.parametrize("edits", OTHER.values(), ids=OTHER)
def test_what_computes_is_seen(home: Path, edits: Sequence[Edit]) -> None:
    before = digest(planted(home))
    assert digest(planted(home, edits)) != before


@pytest.mark.parametrize("use", UNKNOWN.values(), ids=UNKNOWN)
def test_where_analysis_cannot_know_all_of_the_module_counts(home: Path, use: str) -> None:
    imports = "from mine.shifts import _far\n" if "_far" in use.partition("import_module")[0] else ""
    plugin = write(home, PLUGIN, f"{imports}def apply(name):\n    return {use}\n")
    write(home, "shifts/__init__.py", "")
    write(home, "__init__.py", "")
    write(home, "shifts/_far.py", "def hidden():\n    return 1\n")
    before = digest(plugin)
    write(home, "shifts/_far.py", "def hidden():\n    return 2\n")
    assert digest(plugin) != before


@pytest.mark.parametrize("use", WITHIN.values(), ids=WITHIN)
def test_what_reaches_its_own_module_unseen_has_it_whole(home: Path, use: str) -> None:
    text = f"def apply(name):\n    return {use}\ndef _hidden():\n    return 1\n"
    before = digest(write(home, PLUGIN, text))
    assert digest(write(home, PLUGIN, text.replace("return 1", "return 2"))) != before
    named = text.replace(use, "name")
    before = digest(write(home, PLUGIN, named))
    assert digest(write(home, PLUGIN, named.replace("return 1", "return 2"))) == before


@pytest.mark.parametrize("case", TOLD.values(), ids=TOLD)
def test_what_only_tells_counts_where_it_is_read(home: Path, case: tuple[str, str, str]) -> None:
    use, old, new = case
    helper = "def told(x: int):\n    'Doc.'\n"
    plugin = "from mine.shifts._helper import told\ndef apply():\n    return {}\n"
    for reads in (True, False):
        text = plugin.format(use if reads else "told(1)")
        write(home, HELPER, helper)
        before = digest(write(home, PLUGIN, text))
        write(home, HELPER, helper.replace(old, new))
        after = digest(write(home, PLUGIN, text.replace("told", new) if old == "told" else text))
        assert (before != after) == reads


def test_a_place_that_is_read_is_data(home: Path) -> None:
    helper = "def where():\n    return __name__\n"
    plugin = "from mine.shifts._{} import where\ndef apply():\n    return where()\n"
    found = []
    for name in ("one", "two"):
        write(home, f"shifts/_{name}.py", helper)
        found.append(digest(write(home, PLUGIN, plugin.format(name))))
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "helper",
    [
        "def make(f):\n    TABLE.append(f)\n    return f\n",
        "def make(f):\n    f.mark = 1\n    return f\n",
        "def make(f):\n    global COUNT\n    COUNT = f\n    return f\n",
        "def make(f):\n    return inner(f)\ndef inner(f):\n    TABLE.append(f)\n    return f\n",
        "class make:\n    def __init__(self, f):\n        TABLE.append(f)\n",
    ],
    ids=["a table", "a mark", "a global", "through another", "a class"],
)
def test_what_a_decorator_keeps_counts_though_nobody_names_it(home: Path, helper: str) -> None:
    write(home, HELPER, f"TABLE = []\nCOUNT = 0\n{helper}")
    text = "from mine.shifts._helper import TABLE, make\ndef apply():\n    return TABLE\n"
    text += "@make\ndef _kept():\n    return 1\n"
    before = digest(write(home, PLUGIN, text))
    assert digest(write(home, PLUGIN, text.replace("return 1", "return 2"))) != before


def test_a_decorator_that_keeps_nothing_counts_with_what_it_decorates(home: Path) -> None:
    text = "from shiftbench.base.compiled import compiled\ndef apply():\n    return 0\n"
    text += "@compiled\ndef _other():\n    return 1\n"
    before = digest(write(home, PLUGIN, text))
    assert digest(write(home, PLUGIN, text.replace("return 1", "return 2"))) == before
    text = text.replace("return 0", "return _other()")
    assert "shiftbench/base/compiled.py: compiled" in names(write(home, PLUGIN, text))


def test_what_a_plugin_declares_to_the_plan_alone_is_not_seen(home: Path) -> None:
    """Of which tasks a trainer is decides what is refused; who reads it, or computes it, is seen."""
    place = "trainers/x.py"
    source = "def train():\n    return 1\n"
    declared = source + 'TASKS = ("ranking",)\n'
    assert digest(write(home, place, declared)) == digest(write(home, place, source))
    for seen in (declared + "def reads():\n    return TASKS\n", source + 'TASKS = ("ranking", print())\n'):
        other = seen.replace("ranking", "detection")
        assert digest(write(home, place, seen)) != digest(write(home, place, other))
    assert digest(write(home, PLUGIN, declared)) != digest(write(home, PLUGIN, source))


def test_a_title_is_not_seen_unless_it_is_read_or_computed(home: Path) -> None:
    source = "def apply():\n    return 1\n"
    titled = source + 'TITLE = "Mine"\n'
    assert digest(write(home, PLUGIN, titled)) == digest(write(home, PLUGIN, source))
    for seen in (titled + "def reads():\n    return TITLE\n", source + 'TITLE = str("Mine")\n'):
        assert digest(write(home, PLUGIN, seen)) != digest(write(home, PLUGIN, seen.replace("Mine", "Yours")))


FIELDS = [
    'from pydantic import Field\nclass Options:\n    k: int = Field(5, ge=1, description="rank")\n',
    'import pydantic\nclass Options:\n    k: int = pydantic.Field(5, ge=1, description="ra" "nk")\n',
    'import pydantic as p, typing\nOptions = typing.Annotated[int, p.Field(description="rank", ge=1)]\n',
]


@pytest.mark.parametrize("fields", FIELDS, ids=["a field", "of the module", "annotated"])
def test_the_description_of_a_field_is_not_seen_unless_it_is_read_or_computed(home: Path, fields: str) -> None:
    source = f"{fields}def apply():\n    return Options\n"
    reworded = source.replace('"rank"', '"which neighbour"').replace('"ra" "nk"', '"which neighbour"')
    assert digest(write(home, PLUGIN, source)) == digest(write(home, PLUGIN, reworded))
    assert digest(write(home, PLUGIN, source)) != digest(write(home, PLUGIN, source.replace("ge=1", "ge=2")))
    read = "def reads():\n    return Options.__doc__\n"
    assert digest(write(home, PLUGIN, source + read)) != digest(write(home, PLUGIN, reworded + read))
    computed = [text.replace("description=", "description=str(1) + ") for text in (source, reworded)]
    assert len({digest(write(home, PLUGIN, text)) for text in computed}) == 2


def test_digest_is_the_same_on_every_python(home: Path) -> None:
    """The golden digest is checked on the Python that runs the tests, and on others that are here."""
    plugin = planted(home)
    golden = "47246da664d4d449ffb2e2c76cd8b2d8"
    assert digest(plugin) == golden
    program = f"import sys; sys.path.insert(0, {str(registry.PACKAGE.parent)!r})\nfrom pathlib import Path\n"
    program += "from shiftbench.base import registry; from shiftbench.provenance import code_digest\n"
    program += f"registry.Folders.extra = (Path({str(home)!r}),)\n"
    for name in ("python3.11", "python3.12", "python3.13"):
        python = shutil.which(name)
        if python and runs(python):
            asked = [python, "-c", program + f"print(code_digest.of([Path({str(plugin)!r})]).linked)"]
            said = subprocess.run(asked, capture_output=True, text=True, check=True)
            assert said.stdout.strip() == golden, name


def runs(python: str) -> bool:
    """A shim on PATH need not have an interpreter behind it, nor our libraries next to it."""
    return subprocess.run([python, "-c", "import pydantic, yaml"], capture_output=True, check=False).returncode == 0


def test_assets_count_by_their_bytes_and_a_missing_one_is_an_error(home: Path) -> None:
    plugin = write(home, PLUGIN, 'ASSETS = ("../recorded/names.txt",)\nX = 1\n')
    asset = write(home, "recorded/names.txt", "one\n")
    first = digest(plugin)
    assert names(plugin) == {"mine/shifts/x.py: X", "mine/recorded/names.txt", "shiftbench/base/refs.py: Ref"} | {
        name for name in names(plugin) if name.startswith("shiftbench/base/refs.py")
    }
    asset.write_text("one \n")
    assert digest(plugin) != first
    asset.unlink()
    with pytest.raises(PluginError, match=r"names.txt is not there, and a plugin reads it \(ASSETS\)"):
        digest(plugin)


def test_a_job_reaches_what_its_definitions_use_and_no_more(home: Path) -> None:
    text = "from shiftbench.plugins.shifts import _levels, fog\nfrom shiftbench.base.errors import DataError\n"
    text += f"from {home.name}.shifts import _stripes\n"
    text += "def apply(x):\n    if not x:\n        raise DataError\n    return fog.shares(x) + _stripes.WIDTH\n"
    plugin = write(home, PLUGIN, text)
    write(home, "shifts/_stripes.py", "WIDTH = 3\nHEIGHT = 4\n")
    found = names(plugin)
    assert found >= {
        "mine/shifts/x.py: apply",
        "mine/shifts/_stripes.py: WIDTH",
        "shiftbench/plugins/shifts/fog.py: shares",
    }
    assert not found & {
        "mine/shifts/_stripes.py: HEIGHT",
        "shiftbench/plugins/shifts/fog.py: apply",
        "shiftbench/base/errors.py: RangeError",
    }


def test_what_changed_is_named(home: Path) -> None:
    before = code_digest.of([planted(home)]).recipe()
    planted(home, [(HELPER, "/ 4 + FAR", "/ 5 + FAR")])
    now = code_digest.of([home / PLUGIN]).recipe()
    assert code_digest.differences(before, now) == ["mine/shifts/_helper.py: half changed"]
    assert code_digest.changed_definitions(before) == ["mine/shifts/_helper.py: half"]
    assert code_digest.changed_definitions(now) == []
    planted(home, SAME["a definition that moves"])
    moved = code_digest.of([home / PLUGIN]).recipe()
    assert code_digest.differences(before, moved) == []
    planted(home, OTHER["another class that is caught"])
    assert code_digest.changed_definitions(before) == ["mine/shifts/_helper.py: Error", "mine/shifts/_helper.py: Fault"]


def test_a_recipe_from_before_definitions_is_said_to_be_one(home: Path) -> None:
    now = code_digest.of([planted(home)]).recipe()
    before = {"code": {"mine/shifts/x.py": "0" * 32}, "linked": "1" * 32}
    assert code_digest.differences(before, now) == [code_digest.OTHERWISE]


@dataclass(frozen=True)
class Graph:
    """Modules that import each other: what each computes, which it imports, and in which way."""

    constants: list[int]
    imports: list[list[tuple[int, bool]]]  # of each: (other, by `from other import value`)

    def write(self, home: Path, places: Sequence[str], order: np.random.Generator) -> Path:
        """Write the modules at dotted places, imports in any order; returns the file of the first."""
        for number, place in enumerate(places):
            lines, uses = [], []
            for other, by_name in self.imports[number]:
                package, _, leaf = f"{home.name}.{places[other]}".rpartition(".")
                lines.append(
                    f"from {package}.{leaf} import value as value_{other}"
                    if by_name
                    else f"from {package} import {leaf} as m{other}"
                )
                uses.append(f"value_{other}()" if by_name else f"m{other}.value()")
            order.shuffle(lines)
            body = " + 2 * ".join([str(self.constants[number]), *uses])
            text = "\n".join([*lines, "", "", "def value():", f"    return {body}", ""])
            write(home, place.replace(".", "/") + ".py", text)
        return home / (places[0].replace(".", "/") + ".py")


def drawn(random: np.random.Generator, circles: bool) -> Graph:
    count = int(random.integers(2, 8))
    imports = []
    for number in range(count):
        others = [n for n in range(count) if n != number and (circles or n > number)]
        chosen = random.permutation(others)[: random.integers(0, 4)]
        imports.append([(int(other), bool(random.random() < 0.5)) for other in chosen])
    return Graph(random.integers(0, 4, count).tolist(), imports)


def reachable(graph: Graph) -> list[int]:
    seen, queue = {0}, [0]
    while queue:
        new = {other for other, _ in graph.imports[queue.pop()]} - seen
        seen |= new
        queue += new
    return sorted(seen)


def fingerprint(start: Path) -> tuple[list[str], str]:
    code = code_digest.of([start])
    return sorted(digest for _, digest in code_digest.named_digests(code.table)), code.linked


@pytest.mark.parametrize("circles", [False, True], ids=["layered", "with circles"])
def test_moves_are_free_and_constants_are_not(tmp_path: Path, monkeypatch, circles: bool) -> None:
    """Drawn graphs of modules: wherever they stand and whatever they are called, in any order of imports."""
    random = np.random.default_rng(7)
    words = ["a", "b.c", "b.d", "e.f.g", "h", "i.j", "k.l", "m.n", "o", "p.q.r"]
    for case in range(60):
        graph = drawn(random, circles)
        homes = [tmp_path / f"{case}_{side}" / f"mine{side}" for side in range(3)]
        monkeypatch.setattr(registry.Folders, "extra", tuple(homes))
        places = [list(random.permutation(words)[: len(graph.constants)]) for _ in homes]
        first, moved = (graph.write(homes[n], places[n], random) for n in range(2))
        assert fingerprint(first) == fingerprint(moved), (case, graph, places)
        edited = int(random.choice(reachable(graph)))
        constants = [c + (n == edited) for n, c in enumerate(graph.constants)]
        other = Graph(constants, graph.imports).write(homes[2], places[2], random)
        assert fingerprint(first)[1] != fingerprint(other)[1], (case, graph, edited)
        assert fingerprint(first)[0] != fingerprint(other)[0], (case, graph, edited)


def test_helpers_that_change_places_are_seen(home: Path) -> None:
    """Two wrappers with equal text around two helpers: what is in the closure stays, who uses what does not."""
    for name, value in (("one", 1), ("two", 2)):
        write(home, f"shifts/_{name}.py", f"def value():\n    return {value}\n")
        text = f"from {home.name}.shifts._{name} import value\n\nshow = value\n"
        write(home, f"shifts/_show_{name}.py", text)
    source = "from {0}.shifts import _show_{1} as a, _show_{2} as b\n\nresult = a.show() - b.show()\n"
    plugin = write(home, "shifts/x.py", source.format(home.name, "one", "two"))
    first = fingerprint(plugin)
    plugin.write_text(source.format(home.name, "two", "one"))
    assert fingerprint(plugin)[0] == first[0]
    assert fingerprint(plugin)[1] != first[1]


def test_what_only_tells_or_plans_does_not_count() -> None:
    """A list to be read by eye: none of these can change a byte of an output."""
    listed = (
        "__init__ audit base.files base.library_imports base.progress base.registry cli data.pins data.places "
        "data.row_digests evaluation.batch_sensitivity evaluation.devices plugins.declare provenance release "
        "workflow.engine workflow.plan workflow.stages.verbs workflow.storage workflow.tools"
    )
    assert sorted(source_names.NOT_COUNTED) == listed.split()
    for stage in ("shift", "train", "evaluate"):
        names = code_digest.of([code_digest.stage(stage)]).table
        modules = [name.removeprefix("shiftbench/").replace("/", ".") for name in names]
        assert not [m for m in modules if m.startswith(tuple(f"{n}." for n in source_names.NOT_COUNTED))]
        assert f"workflow.stages.{stage}.py" in modules


def test_a_file_outside_of_all_folders_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="neither in the package nor in a folder under `plugins:`"):
        source_names.spell(tmp_path / "stray.py")


def test_digest_needs_nothing_but_the_standard_library() -> None:
    """It runs in other interpreters above, and before anything heavy in every job."""
    program = "import sys; from shiftbench.provenance import code_digest\n"
    program += "print('numpy' in sys.modules or 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two plugins and their helper, whose digests are kept beside its bytecode."""
    home = tmp_path / "shiftbench"
    for folder in (home / "shifts", home / "shifts/__pycache__"):
        folder.mkdir(parents=True)
    (home / "shifts/_helper.py").write_text("def f(a):\n    return a + 1\n")
    (home / "shifts/__init__.py").write_text("")
    text = "from shiftbench.shifts import _helper\nASSETS = ('x.csv',)\n\ndef g(a):\n    return _helper.f(a)\n"
    for name in ("one", "two"):
        (home / f"shifts/{name}.py").write_text(text)
    (home / "shifts/x.csv").write_text("1")
    monkeypatch.setattr(source_facts, "PACKAGE", home)
    monkeypatch.setattr(source_names, "PACKAGE", home)
    monkeypatch.setattr(source_facts.Home, "package", home)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return home


def again(files: Sequence[Path]) -> dict[str, str]:
    """Return what another process finds."""
    code_digest.forget()
    return dict(code_digest.named_digests(code_digest.of(files).table))


def test_what_is_kept_is_what_sources_say(package: Path) -> None:
    files = [package / f"shifts/{name}.py" for name in ("one", "two")]
    with code_digest.from_sources_alone():
        parsed = again(files)
        assert not list(package.rglob("*.digest"))
    assert again(files) == again(files) == parsed
    assert len(list(package.rglob("*.digest"))) == 4
    named = ("_helper.py: f", "one.py: g", "two.py: g", "x.csv")
    assert set(parsed) == {f"shiftbench/shifts/{name}" for name in named}
    helper = package / "shifts/_helper.py"
    helper.write_text(helper.read_text().replace("+ 1", "+ 2"))
    moved = again(files)
    assert {name for name in parsed if moved[name] != parsed[name]} == {"shiftbench/shifts/_helper.py: f"}
    helper.unlink()  # the same bytes of `one`, and its import means nothing of ours
    assert again(files)["shiftbench/shifts/one.py: g"] != parsed["shiftbench/shifts/one.py: g"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", None], ids=str)
def test_what_was_kept_and_is_damaged_or_of_another_version_is_not_believed(
    package: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [package / "shifts/one.py"]
    found = again(files)
    for kept in package.rglob("*.digest"):
        text = re.sub(r"(?<=\],\")[0-9a-f]{32}(?=\",\[)", "0" * 32, kept.read_text())
        forged = text.encode()
        kept.write_bytes(forged if damage is None else damage)
    if damage is None:
        assert again(files) != found  # whoever can write there can change the bytecode, too
        with code_digest.from_sources_alone():  # an audit
            assert again(files) == found
        monkeypatch.setattr(source_facts, "_VERSION", "another")
    assert again(files) == found
