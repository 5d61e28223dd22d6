"""No drawn refactoring of the package moves a digest, and each drawn change of what ran in a job does."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import planned_campaign, refactorings, watched_jobs
from shiftbench import plugins
from shiftbench.provenance import code_digest, source_facts

STEPS = 60
PLUGINS = (
    "shift shifts/fog",
    "shift shifts/spatter",
    "shift shifts/histogram_matching",
    "shift datasets/fashion_mnist",
    "train trainers/erm",
    "train trainers/grpo",
    "evaluate methods/bn_adapt",
    "score detectors/gram",
    "aggregate metrics/auroc",
    "report metrics/accuracy",
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
        roots = [home / f"stages/{stage}.py", home / f"{plugin}.py"]
        found[name] = code_digest.of(roots).recipe()
    return found


def reached(home: Path) -> list[Path]:
    tables = (code_digest.of([home / f"{name.partition(' ')[2]}.py"]).table for name in PLUGINS)
    names = {name for table in tables for name in table if name.endswith(".py")}
    return sorted(code_digest.locate(name) for name in names)


@pytest.mark.parametrize("seed", range(2))
def test_refactorings_are_free(home: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    before, done = recipes(home), Counter[str]()
    while sum(done.values()) < STEPS:
        kind = str(random.choice(list(refactorings.ALL)))
        files = reached(home)
        file = files[int(random.integers(len(files)))]
        if refactorings.ALL[kind](file, random, home):
            done[kind] += 1
            now = recipes(home)
            differ = {name: code_digest.told(before[name], now[name]) for name in PLUGINS}
            assert not any(differ.values()), (kind, file.relative_to(home), differ)
    assert set(done) == set(refactorings.ALL)


def test_each_definition_that_ran_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """Of a small campaign: nothing ran that no recipe has, and a change of what ran makes its job another."""
    with monkeypatch.context() as context:
        context.setattr(source_facts.Home, "package", plugins.PACKAGE)
        planned_campaign.make(tmp_path)
        context.chdir(tmp_path)
        plan = planned_campaign.plan(tmp_path)
        did, lacking = watched_jobs.make(plan, Path(plan.params.root))
    assert lacking == {}
    random = np.random.default_rng(3)
    jobs = [name for name in did if not name.startswith("fetch/")]
    for _ in range(40):
        job = plan.jobs[jobs[int(random.integers(len(jobs)))]]
        ran = sorted(did[f"{job.verb}/{job.name}"])
        name = ran[int(random.integers(len(ran)))]
        roots = [[code_digest.locate(one) for one in a.recipe["roots"]] for a in job.artifacts]
        before = [code_digest.of(files).linked for files in roots]
        with changed(name):
            after = [code_digest.of(files).linked for files in roots]
        assert before != after, (job.name, name)


class changed:
    """Another body of a definition, meanwhile."""

    def __init__(self, name: str) -> None:
        place, _, self.names = name.partition(": ")
        self.file = code_digest.locate(place)

    def __enter__(self) -> None:
        self.text = self.file.read_text()
        tree = ast.parse(self.text)
        wanted = self.names.split(", ")
        found = [node for node in tree.body if wanted[0] in refactorings._binds(node)]
        for node in found:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                node.body.append(ast.parse("changed = 1").body[0])
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                node.value = ast.Tuple(
                    [node.value or ast.Constant(None), ast.Constant(1)], ast.Load()
                )
        assert found, self.names
        self.link = self.file.readlink() if self.file.is_symlink() else None
        refactorings._write(self.file, tree)

    def __exit__(self, *_: object) -> None:
        self.file.unlink()
        if self.link:
            self.file.symlink_to(self.link)
        else:
            self.file.write_text(self.text)
