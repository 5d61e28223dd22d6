"""A whole campaign made in this process, without Snakemake: a checkout in miniature for the checks of the evidence."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from repository import HOME, TINY
from shiftbench import params, plugins, recipe
from shiftbench.audit._case import Case
from shiftbench.audit._finding import Audit, Finding, Note, Result
from shiftbench.errors import ParamsError
from shiftbench.plan import Plan
from shiftbench.refs import Ref


@dataclass(frozen=True)
class Made:
    """A campaign that was made: its checkout, which is also the output root."""

    root: Path

    def plan(self, **over: Any) -> Plan:
        """Plan what params.yaml asks for, with entries laid over; `a__b=1` sets a.b."""
        content = yaml.safe_load((self.root / "params.yaml").read_text())
        for path, value in over.items():
            *above, last = path.split("__")
            at = content
            for key in above:
                at = at.setdefault(key, {})
            at[last] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))
        return Plan.of(params.load(self.root / "params.yaml"))

    def case(self, **more: Any) -> Case:
        """Return what a check looks at."""
        scratch = self.root.with_name("scratch")
        return Case(
            more.pop("plan", None) or self.plan(),
            self.root,
            0,
            4,
            "seed",
            "2099-01-01",
            scratch,
            **more,
        )

    def says(self, check: str, **more: Any) -> list[Finding | Note]:
        """Return what one check says."""
        module = importlib.import_module(f"shiftbench.audit.{check}")
        return list(module.check(self.case(**more)))

    def findings(self, check: str, **more: Any) -> list[Finding]:
        """Return the findings of one check."""
        return [one for one in self.says(check, **more) if isinstance(one, Finding)]

    def result(self, check: str, **asked: Any) -> Result:
        """Return the result of one check as the audit makes it."""
        return self.audit(check, **asked).results[0]

    def audit(self, *checks: str, **asked: Any) -> Audit:
        """Run some checks as the command line does."""
        from shiftbench.audit import _run  # imports all checks

        wanted = _run.Asked(0, checks, **asked)
        try:
            return _run.run(self.plan(), self.root, wanted)
        except ParamsError as error:
            return _run.unplanned(error, wanted)

    def one(self, kind: str, part: str = "") -> Ref:
        """Return the first planned output of a kind with a part in its name."""
        return next(ref for ref in self.plan().cells if ref.kind == kind and part in ref.name)

    def edit(self, file: str | Path, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a JSON file."""
        content = json.loads((self.root / file).read_text())
        change(content)
        (self.root / file).write_text(json.dumps(content))


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made") / "checkout"
    root.mkdir()
    content = yaml.safe_load(TINY.read_text())
    shutil.copytree(
        HOME / "tests/workflow/mine", root / "mine", ignore=shutil.ignore_patterns("__pycache__")
    )
    content["plugins"] = ["mine"]
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    shutil.copy(HOME / "requirements.lock", root)
    made = Made(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _make(made.plan(), root)
    return made


def _make(plan: Plan, root: Path) -> None:
    plan.write(root)
    todo = list(plan.jobs.values())
    while todo:
        job = next(job for job in todo if all((root / ref.path).exists() for ref in job.inputs))
        todo.remove(job)
        stage = importlib.import_module(f"shiftbench.{job.verb}")
        recipe.execute(root / job.recipe_path, stage.run)


@pytest.fixture
def made(_made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A copy of the campaign, which a test may spoil; its folder is the working one."""
    root = tmp_path / "checkout"
    shutil.copytree(_made.root, root)
    monkeypatch.chdir(root)
    monkeypatch.setattr(plugins.Folders, "extra", plugins.Folders.extra)
    return Made(root)
