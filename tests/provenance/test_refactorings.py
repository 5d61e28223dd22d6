"""No drawn refactoring of the package moves a digest."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import refactorings
from shiftbench.base.registry import Location
from shiftbench.provenance import code_digest, source_facts, source_names

STEPS = 60
PLUGINS = (
    "shift shifts/fog",
    "shift shifts/histogram_matching",
    "shift datasets/fashion_mnist",
    "train trainers/grpo",
    "evaluate methods/bn_adapt",
    "score detectors/gram",
    "aggregate metrics/ood_detection:auroc",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package, whose sources are digested."""
    folder = refactorings.copied(tmp_path)
    monkeypatch.setattr(source_facts.Home, "package", folder)
    monkeypatch.setattr(source_facts.Home, "keeps", False)
    return folder


def recipes(home: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for name in PLUGINS:
        stage, _, plugin = name.partition(" ")
        roots = [home / f"workflow/stages/{stage}.py", root(home, plugin)]
        found[name] = code_digest.of(roots).recipe()
    return found


def root(home: Path, plugin: str) -> Location:
    file, _, function = plugin.partition(":")
    return Location(home / f"plugins/{file}.py", function)


def reached(home: Path) -> list[Path]:
    tables = (code_digest.of([root(home, name.partition(" ")[2])]).table for name in PLUGINS)
    names = {name for table in tables for name in table if name.endswith(".py")}
    return sorted(source_names.locate(name) for name in names)


@pytest.mark.parametrize("seed", range(2))
def test_refactorings_are_free(home: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    before, done = recipes(home), Counter[str]()
    while sum(done.values()) < STEPS:
        kind = min(random.permutation(list(refactorings.ALL)), key=done.__getitem__)
        files = reached(home)
        file = files[int(random.integers(len(files)))]
        if refactorings.ALL[kind](file, random, home):
            done[kind] += 1
            now = recipes(home)
            differ = {name: code_digest.differences(before[name], now[name]) for name in PLUGINS}
            assert not any(differ.values()), (kind, file.relative_to(home), differ)
    assert set(done) == set(refactorings.ALL)
