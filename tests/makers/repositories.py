"""Checkouts of this repository for the workflow tests, driven as a user drives them."""

import filecmp
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import isolation
from makers import commands

HOME = isolation.ROOT
TINY = HOME / "tests/workflow/params.yaml"
COUNTING = HOME / "tests/workflow/counting"
AUDITS = ("audit.html", "audit.json", "audit.svg")


@dataclass(frozen=True)
class Repository:
    """A checkout with its own sources, driven through the command line."""

    path: Path
    sources: Path | None = None  # where the package lies; default: the checkout's own

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, its sources first on the path."""
        environment = self._environment()
        if command[0] != "git":
            environment |= commands.forking()
        done = commands.run(command, self.path, environment)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str) -> commands.Started:
        """Start a command in a process group of its own, so that a test can kill all of it."""
        log, environment = self.path.parent / f"{self.path.name}.log", self._environment()
        return commands.Started(command, self.path, environment, (log, log))

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "ARGS")}  # of `make test`
        return own | {
            "PYTHONPATH": f"{self.sources or self.path / 'src'}{os.pathsep}{COUNTING}",
            "PATH": f"{commands.PYTHON.parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "200",
        }

    def make(self, *targets: str, cores: int = 2) -> subprocess.CompletedProcess[str]:
        """Run Snakemake."""
        return self.run("snakemake", "--cores", str(cores), *targets)

    def planned(self, *words: str) -> set[str]:
        """Return the jobs that a run would start now: `train/tiny/convnet-erm-s0`."""
        done = self.run("snakemake", "-n", "--quiet", "reason", *words)
        markers = r"^ *output: .*\blogs/jobs/(.+)\.done$"
        return set(re.findall(markers, done.stdout + done.stderr, re.MULTILINE))

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the only place of `old` in a file."""
        file = self.path / name
        text = file.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        file.write_text(text.replace(old, new))

    def bytes(self, *folders: str) -> dict[str, bytes]:
        """Return what was made, without run files, digests with their times, and what an audit left."""
        files = [file for folder in folders for file in (self.path / folder).rglob("*") if file.is_file()]
        return {
            str(f.relative_to(self.path)): f.read_bytes()
            for f in files
            if not f.name.endswith(".run.json") and f.name not in (*AUDITS, "digests")
        }


def checkout(path: Path) -> Repository:
    """Copy the tracked files, as they are now, into a new git repository with tiny params."""
    isolation.copy_tracked(path)
    bring_compiled(path)
    shutil.copy(TINY, path / "params.yaml")
    repository = Repository(path)
    repository.run("git", "init", "-q", "-b", "main")
    repository.run("git", "config", "user.email", "tests@example.org")
    repository.run("git", "config", "user.name", "Tests")
    repository.run("git", "config", "core.compression", "0")
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-q", "-m", "tiny")
    return repository


def bring_compiled(path: Path) -> None:
    """Copy bytecode and machine code of the package, which each checkout would compile for ten seconds.

    Both are valid for a source of the same time, which a clone's files get where they are the same.
    """
    for folder in (HOME / "src").rglob("__pycache__"):
        there, ignored = (path / folder.relative_to(HOME), shutil.ignore_patterns("*.tmp*", "*.pyc.*"))
        if there.parent.is_dir():
            shutil.copytree(folder, there, ignore=ignored, dirs_exist_ok=True)
    for source in (HOME / "src").rglob("*.py"):
        there = path / source.relative_to(HOME)
        if there.is_file() and filecmp.cmp(source, there, shallow=False):
            shutil.copystat(source, there)


def clone(author: Repository, path: Path) -> Repository:
    """Clone the author's repository, as a colleague does."""
    author.run("git", "clone", "-q", str(author.path), str(path))
    bring_compiled(path)
    return Repository(path)
