"""A whole benchmark made in this process, without Snakemake: a checkout in miniature for the checks of the audit."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from makers.repositories import HOME, TINY
from shiftbench.audit.case import Case
from shiftbench.audit.finding import Audit, Finding, Note, Result
from shiftbench.base.errors import ParamsError
from shiftbench.base.files import sha256
from shiftbench.base.refs import Ref
from shiftbench.provenance import environment, installed
from shiftbench.workflow.plan import loading
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.plan import Plan


@dataclass(frozen=True)
class Made:
    """A benchmark that was made: its checkout, which is also the output root."""

    root: Path
    plans: dict[str, Plan] = field(default_factory=dict, compare=False)

    def plan(self, **over: Any) -> Plan:
        """Plan what params.yaml asks for, with entries laid over; `a__b=1` sets a.b.

        What was planned once is not planned again as long as params and plugins are the same.
        """
        content = yaml.safe_load((self.root / "params.yaml").read_text())
        for path, value in over.items():
            *above, last = path.split("__")
            at = content
            for key in above:
                at = at.setdefault(key, {})
            at[last] = value
        if over:
            (self.root / "params.yaml").write_text(yaml.safe_dump(content))
        params = loading.load(self.root / "params.yaml")
        parts = sorted(file for file in (self.root / "mine").rglob("*") if file.is_file())
        depends = [self.root / "params.yaml", *(file for file in parts if file.suffix != ".pyc")]
        key = " ".join(sha256(file) for file in depends)
        if key not in self.plans:
            self.plans[key] = Plan.of(params)
        return self.plans[key]

    def case(self, **more: Any) -> Case:
        """Return what a check looks at; `more` replaces what is said here."""
        options = {"level": 0, "count": 4, "seed": "seed", "today": "2099-01-01", **more}
        plan = options.pop("plan", None) or self.plan()
        scratch = options.pop("scratch", self.root.with_name("scratch"))
        return Case(plan=plan, root=self.root, scratch=scratch, **options)

    def says(self, check: str, **more: Any) -> list[Finding | Note]:
        """Return what one check says."""
        from shiftbench.audit import run  # imports all checks

        return [one for found in run.select_checks([check]) for one in found(self.case(**more))]

    def findings(self, check: str, **more: Any) -> list[Finding]:
        """Return the findings of one check."""
        return [one for one in self.says(check, **more) if isinstance(one, Finding)]

    def result(self, check: str, **options: Any) -> Result:
        """Return the result of one check as the audit makes it."""
        return self.audit(check, **options).results[0]

    def audit(self, *checks: str, **options: Any) -> Audit:
        """Run some checks as the command line does."""
        from shiftbench.audit import run  # imports all checks

        request = run.AuditRequest(**{"level": 0, "only": checks, **options})
        try:
            return run.run(self.plan(), self.root, request)
        except ParamsError as error:
            return run.audit_without_plan(error, request)

    def folder(self, ref: Ref) -> Path:
        """Return the folder that an output lies in."""
        return (self.root / ref.path).parent

    def one(self, kind: str, part: str = "") -> Ref:
        """Return the first planned output of a kind with a part in its name."""
        return next(ref for ref in self.plan().artifacts if ref.kind == kind and part in ref.name)

    def edit(self, file: str | Path, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a JSON file."""
        content = json.loads((self.root / file).read_text())
        change(content)
        (self.root / file).write_text(json.dumps(content))


class Restored:
    """A copy of a benchmark that is as it was again after each test: what was changed is copied anew."""

    def __init__(self, source: Path, root: Path) -> None:
        shutil.copytree(source, root, symlinks=True)
        self.source = source
        self.made = Made(root)
        self.marks = self._marks()

    def _marks(self) -> dict[Path, tuple[int, int]]:
        """Return what changes with each write of a file, whatever its time stamp is set to."""
        states = ((path, path.lstat()) for path in self.made.root.rglob("*"))
        return {path: (stat.st_ino, 0 if path.is_dir() else stat.st_ctime_ns) for path, stat in states}

    def restore(self) -> None:
        """Undo what a test did, beside the checkout too."""
        for path in set(self.made.root.parent.iterdir()) - {self.made.root}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        now = self._marks()
        for path in sorted(now.keys() - self.marks.keys(), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for path in sorted(self.marks):
            if now.get(path) != self.marks[path]:
                self._bring(path)
        self.marks = self._marks()

    def _bring(self, path: Path) -> None:
        original = self.source / path.relative_to(self.made.root)
        if original.is_dir():
            path.mkdir(exist_ok=True)
            return
        path.unlink(missing_ok=True)
        shutil.copy2(original, path, follow_symlinks=False)


def checkout(root: Path) -> Made:
    """Write the files of a checkout with the tiny benchmark, of which nothing is made."""
    shutil.copytree(HOME / "tests/workflow/mine", root / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    content = {**yaml.safe_load(TINY.read_text()), "plugins": ["mine"]}
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    for name in ("requirements.lock", "Snakefile"):
        shutil.copy(HOME / name, root)
    return Made(root)


SPOTTED = """\"\"\"Spots at places that an original names. Source: none, a test.\"\"\"
import numpy as np
FIELD, LEVELS, RANGE, PARAMS = "image", {}, (0.0, 5.0), {}
SOURCES = ("spots",)
def apply(image, severity, words, sources):
    places = np.loadtxt(sources["spots"] / "spots.txt", dtype=int)
    spotted = image.copy()
    spotted[places[:, 0], places[:, 1]] = int(40 * severity)
    return spotted
"""
SPOTS = "3 4\n10 20\n27 1\n"
SOURCE = {
    "title": "Spots",
    "licence": "CC0",
    "redistribute": True,
    "citation": "a test",
    "homepage": "https://example.org",
    "files": {"spots.txt": {"sha256": hashlib.sha256(SPOTS.encode()).hexdigest(), "size": len(SPOTS)}},
    "providers": [{"apt": "spots", "version": "1"}],
}


def with_original(root: Path) -> Made:
    """Write a checkout with an original and a system's card beside, whose folder is the working one, in git."""
    made = checkout(root)
    plugins = root / "mine"
    for name in ("sources", "originals/spots", "../systems"):
        (plugins / name).mkdir(parents=True, exist_ok=True)
    (plugins / "shifts/spotted.py").write_text(SPOTTED)
    (plugins / "sources/spots.yaml").write_text(yaml.safe_dump(SOURCE))
    (plugins / "originals/spots/spots.txt").write_text(SPOTS)
    (root / "systems/card.yaml").write_text("claims: [robust]\n")
    ignored = ("/data/", "/checkpoints/", "/results/", "/recipes/", "/logs/", "__pycache__/")
    (root / ".gitignore").write_text("\n".join(ignored) + "\n")
    made.plan(
        shifts__spotted={"severities": [3]},
        benchmarks__tiny__shifts=["gaussian_noise", "contrast", "jpeg_compression", "spotted"],
        benchmarks__tiny__detectors=["msp", "gen", "mds"],
        fetch={"folders": ["mine/originals"], "offline": True},
    )
    git("init", "-q", "-b", "main")
    git("config", "user.email", "tests@example.org")
    git("config", "user.name", "Tests")
    commit()
    return made


def forget() -> None:
    """Drop what is cached for another folder."""
    environment.without_gpu.cache_clear()
    environment.repository.cache_clear()
    plans._code.cache_clear()
    installed._lines.cache_clear()


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit() -> None:
    git("add", "-A")
    git("commit", "-q", "-m", "a step")
    forget()
