"""An edit that changes what a plugin does moves its digest, however hidden the use is."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shiftbench.base import registry
from shiftbench.provenance import code_digest

FILE = Path(__file__).with_suffix("").with_name("hidden_uses.txt")
EDIT = re.compile(r"⟦(.*?)⟧⟦(.*?)⟧", re.DOTALL)
HOME = "mine"
PACKAGES = ("__init__.py", "shifts/__init__.py")
Tree = dict[str, str]


def cases() -> dict[str, tuple[Tree, Tree]]:
    """Return name -> files before and after the edit."""
    found = {}
    for block in FILE.read_text().split("\n== ")[2:]:
        name, _, text = block.partition("\n")
        files = (part.partition("\n") for part in text.strip("\n").split("-- ")[1:])
        tree = {file: f"{content}\n".replace("\n\n\n", "\n") for file, _, content in files}
        found[name] = tuple(
            {file: EDIT.sub(rf"\{which}", content) for file, content in tree.items()} for which in (1, 2)
        )
    return found  # type: ignore[return-value]


CASES = cases()


def write(home: Path, tree: Tree, *, packages: bool) -> Path:
    """Write a plugin folder, whose folders are packages or not; return the plugin."""
    for name, text in (dict.fromkeys(PACKAGES if packages else (), "") | tree).items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home / "shifts/x.py"


@pytest.mark.parametrize("name", CASES)
def test_an_edit_that_changes_what_is_done_moves_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whether the folders are packages or not."""
    for packages in (True, False):
        found = []
        for which, tree in enumerate(CASES[name]):
            home = tmp_path / f"{packages}{which}" / HOME
            plugin = write(home, tree, packages=packages)
            monkeypatch.setattr(registry.Folders, "extra", (home,))
            code_digest.forget()
            found.append(code_digest.of([plugin]).linked)
        assert found[0] != found[1]


RUN = """
import importlib, json, os, sys
import numpy, torch
sys.dont_write_bytecode = True
for place in json.load(sys.stdin):
    read, write = os.pipe()
    if not os.fork():
        sys.path.insert(0, place)
        try:
            said = repr(importlib.import_module("mine.shifts.x").apply())
        except BaseException as error:
            said = repr(error)
        os.write(write, said.replace(place, "").encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        print(json.dumps(stream.read().decode()), flush=True)
    os.wait()
"""
"""Asks the plugin of each folder what it returns, each in a process of its own."""


@pytest.mark.slow
def test_each_edit_does_change_what_is_done(tmp_path: Path) -> None:
    """So that each case above is one."""
    places = []
    for number, trees in enumerate(CASES.values()):
        for which, tree in enumerate(trees):
            places.append(tmp_path / f"{number}/{which}")
            write(places[-1] / HOME, tree, packages=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps(list(map(str, places))),
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    said = list(map(json.loads, done.stdout.splitlines()))
    same = [name for number, name in enumerate(CASES) if said[2 * number] == said[2 * number + 1]]
    assert same == []
