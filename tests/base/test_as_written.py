"""Plugins as their text says: read in part they are what importing them gives, and planning imports no torch."""

import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from shiftbench.base import registry
from shiftbench.base.registry import as_written

PACKAGES = frozenset(f"{home.package}.{family}" for home in registry.packaged() for family in registry.PLUGIN_TYPES)


@pytest.mark.parametrize("family", registry.PLUGIN_TYPES)
def test_what_is_read_in_part_is_what_importing_gives(family: str) -> None:
    for name, ((home, found), *_) in registry.packaged_names(family).items():
        if isinstance(found, Path):
            full = f"{home.package}.{family}.{name}"
            part, whole = (as_written.Text(full, found, PACKAGES).module, importlib.import_module(full))
            for asked in ("PARAMS", *sorted(name for name in vars(whole) if not name.startswith("__"))):
                assert registry.defines(part, asked) == hasattr(whole, asked), f"{full}.{asked}"
                if hasattr(whole, asked):
                    assert same(getattr(part, asked), getattr(whole, asked)), f"{full}.{asked}"


def same(one: object, other: object) -> bool:
    """Tell whether two objects of a module are the same, functions by where they are written."""
    if isinstance(one, types.FunctionType) and isinstance(other, types.FunctionType):
        code, its = one.__code__, other.__code__
        return (code.co_filename, code.co_firstlineno) == (its.co_filename, its.co_firstlineno)
    if isinstance(one, types.ModuleType) and isinstance(other, types.ModuleType):
        return one.__name__ == other.__name__
    return written(one) == written(other)


def written(value: object) -> object:
    """Return a value as text, without addresses and whatever the order in which a set tells its members."""
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(str(written(part)) for part in value)
    if isinstance(value, dict):
        return type(value), [(written(key), written(part)) for key, part in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [written(part) for part in value]
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("seed", range(40))
def test_a_drawn_module_reads_as_it_runs(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names bound twice, under conditions, in loops, changed in place, used by functions: in any order of asking."""
    drawn = np.random.default_rng(seed)
    text = "from __future__ import annotations\nimport math\n" + "\n".join(
        statement(drawn, number) for number in range(12)
    )
    file = tmp_path / "drawn" / "part.py"
    file.parent.mkdir()
    file.write_text(text + "\n")
    (file.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("drawn", "drawn.part"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    run: dict[str, object] = {}
    exec(text, run)  # a text made above
    part = as_written.Text("drawn.part", file, frozenset()).module
    names = [name for name in run if name[0] in "AF"]
    drawn.shuffle(names)
    for name in names:
        found, wanted = getattr(part, name), run[name]
        assert found() == wanted() if callable(wanted) else found == wanted, f"{name} of\n{text}"
    for name in ("drawn", "drawn.part"):
        sys.modules.pop(name, None)


def statement(drawn: np.random.Generator, number: int) -> str:
    """Return a statement that uses names bound before, `A0` and the like."""
    name, old = f"A{number}", f"A{drawn.integers(number)}" if number else "math.tau"
    if not number:
        return "A0 = [1, 2]"
    forms = (
        f"{name} = [*{old}, {number}]",
        f"{name}: list[Unknown] = {old}[:3]",
        f"{name} = F{number} = lambda: len({old})\n{name} = [{name}()]",
        f"{name} = list({old})\n{old} = [7, 8]",
        f"{name} = list({old})\n{name}.append({number})",
        f"{name} = list({old})\n{name} += [{number}]",
        f"{name} = [0]\nfor B in range(3):\n    {name}[0] = B",
        f"if len({old}) > 2:\n    {name} = [1]\nelse:\n    {name} = [2]",
        f"{name} = [math.pi]\ndef F{number}(given: U = {old}) -> U:\n    return [*given, *{name}]",
        f"from math import pi as P{number}, tau as T{number}\n{name} = [T{number}, P{number}]",
        f"class C{number}:\n    held = [*{old}]\n{name} = C{number}.held",
    )
    return forms[drawn.integers(len(forms))]


def test_planning_imports_no_torch(pristine: Path) -> None:
    code = """
import sys
from shiftbench.workflow.plan import configurations, plan
for scale in (None, *(f"systems/{slug}/smoke" for slug in configurations.built_slugs())):
    plan.load(scale)
    assert "torch" not in sys.modules, scale
"""
    asked = subprocess.run([sys.executable, "-c", code], cwd=pristine, capture_output=True, text=True, check=False)
    assert not asked.returncode, asked.stderr


def test_an_unknown_name_is_no_attribute() -> None:
    assert not hasattr(registry.read("shifts", "fog"), "SOMETHING_ELSE")
