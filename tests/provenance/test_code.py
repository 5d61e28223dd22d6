"""Code digests: blind to what does not compute, equal on every Python, and over all that is imported."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from shiftbench import plugins
from shiftbench.errors import PluginError
from shiftbench.provenance import code_digest, source_facts

SOURCE = '''
"""Doc."""
from __future__ import annotations
import math, os.path as p
LEVELS = {1: 0.5, 2: -0.0, 3: 1e-300, 4: 3j, 5: ...}

def f(a, /, b: int = 3, *c, d=u"x", **e) -> "str":
    """Doc."""
    return f"{a!r:>{b}} {b:} {a=}" "and" f"{d:.3f}" f"" if (n := len(c)) else {*c, n}

class A:
    """Doc."""
    def g(self, a):
        match a:
            case {"k": [1, *rest], **kw} if rest:
                return lambda *, q=1: (yield)
            case int(real=1) | None:
                raise ValueError(b"\\x00") from None
        try:
            del a[1:2, ::3]
        except* OSError as error:
            print(error, sep="")
'''

SAME = {
    "a comment": ("    return f", "    # why\n    return f"),
    "a docstring": ('    """Doc."""\n    def', "    def"),
    "another docstring": ('"""Doc."""\nfrom', '"""What it is."""\nfrom'),
    "formatting": ("{1: 0.5, 2: -0.0,", "{\n    1: 0.5,\n    2: -0.0,\n   "),
    "quotes": ('"and"', "'and'"),
}
OTHER = {
    "a constant": ("1: 0.5", "1: 0.6"),
    "an int for a float": ("1: 0.5, 2", "1: 5, 2"),
    "a sign": ("-0.0", "0.0"),
    "a default": ("q=1", "q=2"),
    "a name": ("lambda *, q", "lambda *, r"),
    "a text": ('"and"', '"or"'),
    "order": ("import math, os.path as p", "import os.path as p, math"),
    "a text that documents nothing": ("    return f", '    a = 1\n    "Doc."\n    return f'),
}


def digest(folder: Path, text: str) -> str:
    file = folder / f"plugin{len(list(folder.iterdir()))}.py"
    file.write_text(text)
    return code_digest.digest(file)


def changed(edit: tuple[str, str]) -> str:
    assert SOURCE.count(edit[0]) == 1
    return SOURCE.replace(*edit)


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_what_computes_nothing_is_not_seen(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert digest(tmp_path, changed(edit)) == digest(tmp_path, SOURCE)


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_what_computes_is_seen(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert digest(tmp_path, changed(edit)) != digest(tmp_path, SOURCE)


def test_what_a_plugin_declares_to_the_plan_alone_is_not_seen(tmp_path: Path) -> None:
    """Of which tasks a trainer is decides what is refused; who reads it, or computes it, is seen."""
    folder = tmp_path / "trainers"
    folder.mkdir()
    declared = 'TASKS = ("ranking",)\n'
    assert digest(folder, SOURCE + declared) == digest(folder, SOURCE)
    for seen in (declared + "print(TASKS)\n", 'TASKS = ("a", print())\n', "TASKS = A = ()\n"):
        other = seen.replace("ranking", "detection").replace("A = ()", "A = (1,)")
        assert digest(folder, SOURCE + seen) != digest(folder, SOURCE)
        assert seen == other or digest(folder, other) != digest(folder, seen)
    assert digest(tmp_path, SOURCE + declared) != digest(tmp_path, SOURCE)


def test_digest_is_the_same_on_every_python(tmp_path: Path) -> None:
    """The golden digest is checked on the Python that runs the tests, and on others that are here."""
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    golden = "fa2e39855fc91e89df6f8d5213e3bd60"
    assert code_digest.digest(file) == golden
    package = str(plugins.PACKAGE.parent)
    program = f"import sys; sys.path.insert(0, {package!r})\nfrom pathlib import Path\n"
    program += "from shiftbench.provenance import code_digest\n"
    for name in ("python3.11", "python3.12", "python3.13"):
        python = shutil.which(name)
        if python and runs(python):
            asked = [python, "-c", program + f"print(code_digest.digest(Path({str(file)!r})))"]
            said = subprocess.run(asked, capture_output=True, text=True, check=True)
            assert said.stdout.strip() == golden, name


def runs(python: str) -> bool:
    """A shim on PATH need not have an interpreter behind it."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def test_assets_count_by_their_bytes_and_a_missing_one_is_an_error(home: Path) -> None:
    plugin = write(home, "shifts/mine.py", 'ASSETS = ("../recorded/names.txt",)\n')
    asset = write(home, "recorded/names.txt", "one\n")
    first = code_digest.closure([plugin])
    assert first.keys() == {f"{home.name}/shifts/mine.py", f"{home.name}/recorded/names.txt"}
    asset.write_text("one \n")
    assert changed_files(first, code_digest.closure([plugin])) == {
        f"{home.name}/recorded/names.txt"
    }
    asset.unlink()
    with pytest.raises(
        PluginError, match=r"names.txt is not there, and a plugin reads it \(ASSETS\)"
    ):
        code_digest.closure([plugin])


def test_closure_follows_imports_of_the_package_and_of_helpers_of_ones_own(home: Path) -> None:
    text = "from shiftbench.shifts import _levels, fog\nfrom shiftbench.errors import DataError\n"
    plugin = write(home, "shifts/mine.py", f"{text}from {home.name}.shifts import _stripes\n")
    helper = write(home, "shifts/_stripes.py", "WIDTH = 3\n")
    found = code_digest.closure([plugin])
    assert found.keys() >= {
        f"{home.name}/shifts/mine.py",
        f"{home.name}/shifts/_stripes.py",
        "shiftbench/shifts/_levels.py",
        "shiftbench/shifts/fog.py",
        "shiftbench/rng.py",  # imported by fog
    }
    assert "shiftbench/errors.py" not in found
    assert all(code_digest.digest(code_digest.locate(name)) == one for name, one in found.items())
    helper.write_text("WIDTH = 4\n")
    assert changed_files(found, code_digest.closure([plugin])) == {
        f"{home.name}/shifts/_stripes.py"
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin folder of the user's own, in use."""
    folder = tmp_path / "mine"
    monkeypatch.setattr(plugins.Folders, "extra", (folder,))
    return folder


def write(home: Path, name: str, text: str) -> Path:
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(text)
    return home / name


def changed_files(old: dict[str, str], new: dict[str, str]) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


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
    return sorted(code_digest.closure([start]).values()), code_digest.linked([start])


@pytest.mark.parametrize("circles", [False, True], ids=["layered", "with circles"])
def test_moves_are_free_and_constants_are_not(tmp_path: Path, monkeypatch, circles: bool) -> None:
    """Drawn graphs of modules: wherever they stand and whatever they are called, in any order of imports."""
    random = np.random.default_rng(7)
    words = ["a", "b.c", "b.d", "e.f.g", "h", "i.j", "k.l", "m.n", "o", "p.q.r"]
    for case in range(60):
        graph = drawn(random, circles)
        homes = [tmp_path / f"{case}_{side}" / f"mine{side}" for side in range(3)]
        monkeypatch.setattr(plugins.Folders, "extra", tuple(homes))
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
    source = (
        "from {0}.shifts import _show_{1} as a, _show_{2} as b\n\nresult = a.show() - b.show()\n"
    )
    plugin = write(home, "shifts/x.py", source.format(home.name, "one", "two"))
    first = fingerprint(plugin)
    plugin.write_text(source.format(home.name, "two", "one"))
    assert fingerprint(plugin)[0] == first[0]
    assert fingerprint(plugin)[1] != first[1]


def test_what_only_tells_or_plans_does_not_count() -> None:
    """A list to be read by eye: none of these can change a byte of an output."""
    listed = (
        "__init__ audit cli data.pins data.places documents engine entries errors files inference.batch_sensitivity "
        "inference.devices library_imports plan plugins progress provenance release storage tools"
    )
    assert sorted(code_digest.NOT_COUNTED) == listed.split()
    for stage in ("shift", "train", "evaluate"):
        names = code_digest.closure([code_digest.stage(stage)])
        modules = [name.removeprefix("shiftbench/").replace("/", ".") for name in names]
        assert not [
            m for m in modules if m.startswith(tuple(f"{n}." for n in code_digest.NOT_COUNTED))
        ]
        assert f"stages.{stage}.py" in modules


def test_a_file_outside_of_all_folders_has_no_name(tmp_path: Path) -> None:
    with pytest.raises(
        PluginError, match="neither in the package nor in a folder under `plugins:`"
    ):
        code_digest.spell(tmp_path / "stray.py")


def test_digest_needs_nothing_but_the_standard_library() -> None:
    """It runs in other interpreters above, and before anything heavy in every job."""
    program = "import sys; from shiftbench.provenance import code_digest\n"
    program += "print('numpy' in sys.modules or 'torch' in sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "False"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of two plugins and their helper, whose digests are kept beside its bytecode."""
    home = tmp_path / "shiftbench"
    for folder in (home / "shifts", home / "shifts/__pycache__"):
        folder.mkdir(parents=True)
    (home / "shifts/_helper.py").write_text("def f(a):\n    return a + 1\n")
    text = "from shiftbench.shifts import _helper\nASSETS = ('x.csv',)\n\ndef g(a):\n    return _helper.f(a)\n"
    for name in ("one", "two"):
        (home / f"shifts/{name}.py").write_text(text)
    (home / "shifts/x.csv").write_text("1")
    monkeypatch.setattr(source_facts, "PACKAGE", home)
    monkeypatch.setattr(source_facts.Home, "package", home)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return home


def again(files: Sequence[Path]) -> dict[str, str]:
    """Return what another process finds."""
    source_facts.facts_of.cache_clear()
    code_digest._parsed.cache_clear()
    return code_digest.closure(files)


def test_what_is_kept_is_what_sources_say(package: Path) -> None:
    files = [package / f"shifts/{name}.py" for name in ("one", "two")]
    with code_digest.from_sources_alone():
        parsed = again(files)
        assert not list(package.rglob("*.digest"))
    assert again(files) == again(files) == parsed
    assert len(list(package.rglob("*.digest"))) == 3
    assert set(parsed) == {
        f"shiftbench/shifts/{name}" for name in ("_helper.py", "one.py", "two.py", "x.csv")
    }
    helper = package / "shifts/_helper.py"
    helper.write_text(helper.read_text().replace("+ 1", "+ 2"))
    moved = again(files)
    assert {name for name in parsed if moved[name] != parsed[name]} == {
        "shiftbench/shifts/_helper.py"
    }
    helper.unlink()  # the same bytes of `one`, and its import means nothing of ours
    assert again(files)["shiftbench/shifts/one.py"] != parsed["shiftbench/shifts/one.py"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", None], ids=str)
def test_what_was_kept_and_is_damaged_or_of_another_version_is_not_believed(
    package: Path, damage: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [package / "shifts/one.py"]
    found = again(files)
    for kept in package.rglob("*.digest"):
        forged = kept.read_text().replace(found["shiftbench/shifts/one.py"], "0" * 32).encode()
        kept.write_bytes(forged if damage is None else damage)
    if damage is None:
        assert again(files) != found  # whoever can write there can change the bytecode, too
        with code_digest.from_sources_alone():  # an audit
            assert again(files) == found
        monkeypatch.setattr(source_facts, "_VERSION", "another")
    assert again(files) == found
