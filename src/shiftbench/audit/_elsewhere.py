"""Elsewhere: a folder under another path with what recipes read and nothing else, and processes that work in it."""

from __future__ import annotations

import json
import os
import shlex
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shiftbench import plugins
from shiftbench.audit._case import Case
from shiftbench.data import source_files
from shiftbench.errors import DataError
from shiftbench.plan import unavailable
from shiftbench.provenance.recipe import Cell, Job
from shiftbench.refs import Ref

PYTHON = "SHIFTBENCH_PYTHON"
"""Environment variable: the command that starts Python for what is made again, where it is not the auditor's own: an
emulator of another CPU (`qemu-x86_64 -cpu Haswell .venv/bin/python`), or `numactl`."""
_NO_REASON = ("shiftbench", "snakemake", "dvc", "polars")
_SAID = 2000


class Elsewhere:
    """A checkout of nothing but inputs.

    Args:
        case: what is audited.
        name: of a folder in its scratch; the outputs' root lies some folders deeper.
    """

    def __init__(self, case: Case, name: str) -> None:
        self.case = case
        self.home = case.scratch / name / "some" / "where" / "else"
        self.root = self.home / "made again"
        self.root.mkdir(parents=True)
        self._originals: dict[str, Path | None] = {}
        for own in unavailable.yours(case.plan):  # options name them relative to the checkout
            if not Path(own.path).is_absolute():
                _link(Path(own.path).absolute(), self.home / own.path)

    def lacking(self, cell: Cell) -> list[Ref]:
        """Link what a cell is made from; return what of it is not here."""
        return [ref for ref in cell.inputs if not self._bring(ref)]

    def _bring(self, ref: Ref) -> bool:
        if ref.kind == "sources":
            found = self._original(ref)
        else:
            here = self.case.root / ref.path
            found = (here.parent if ref.owns_folder else here) if here.is_file() else None
        if found is None:
            return False
        place = self.root / ref.path
        _link(found.absolute(), place.parent if ref.owns_folder else place)
        return True

    def _original(self, ref: Ref) -> Path | None:
        """Return a folder with the bytes of an original, checked: in data/sources, else in this machine's cache."""
        if ref.name not in self._originals:
            homes = (self.case.folder(ref), source_files.kept(ref.name))
            source = source_files.load_source(ref.name)
            whole = (home for home in homes if _is_whole(source, home))
            self._originals[ref.name] = next(whole, None)
        return self._originals[ref.name]

    def job(self, verb: str, name: str, cells: Sequence[Cell]) -> str:
        """Write a recipe file; return its path."""
        folders = [str(folder) for folder in plugins.Folders.extra]
        job = Job(verb, name, tuple(cells), {"plugins": folders})
        file = self.root / job.recipe_path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(job.text())
        return str(file)

    def run(self, module: str, specs: Sequence[dict[str, Any]], *, varied: bool) -> list[Any]:
        """Run a module of the audit once per specification, at the same time; return the answers.

        Raises:
            DataError: a process ended without answers; says what it said.
        """
        started = [
            self._start(module, spec, number, varied=varied) for number, spec in enumerate(specs)
        ]
        try:
            said = [process.communicate()[0] for process, _ in started]
        finally:
            for process, _ in started:
                process.kill()
        for (_, file), text in zip(started, said, strict=True):
            if not file.is_file():
                raise DataError(
                    f"{module} ended without an answer; it said: {text.strip()[-_SAID:]}"
                )
        return [json.loads(file.read_text()) for _, file in started]

    def _start(
        self, module: str, spec: dict[str, Any], number: int, *, varied: bool
    ) -> tuple[subprocess.Popen[str], Path]:
        folder = self.home.parent / f"{module}-{number}"
        folder.mkdir()
        file = folder / "spec.json"
        extra = [str(folder) for folder in plugins.Folders.extra]
        file.write_text(json.dumps({**spec, "plugins": extra, "number": number}))
        python = shlex.split(os.environ.get(PYTHON, "")) or [sys.executable]
        process = subprocess.Popen(
            [*python, "-m", f"shiftbench.audit.{module}", str(file)],
            cwd=self.home,
            env=_environment(folder, varied=varied),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, file.with_suffix(".answers")


def _environment(folder: Path, *, varied: bool) -> dict[str, str]:
    """Return the environment of a child: no cache of this user in reach; `varied`, little else is the same."""
    home = folder / "home"
    home.mkdir()
    path = [str(plugins.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONUSERBASE": site.getuserbase(),  # packages of the user's stay in reach
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "SHIFTBENCH_CACHE": str(home / "shiftbench"),
    }
    others = {
        "TZ": "<+0545>-5:45",
        "LC_ALL": "tr_TR.UTF-8",  # where it is not installed: C
        "LANG": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "4242",
        "OMP_NUM_THREADS": "3" if os.environ.get("OMP_NUM_THREADS") != "3" else "2",
    }
    return {**os.environ, **own, **(others if varied else {})}


def _link(target: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(target)


def _is_whole(source: source_files.Source, home: Path) -> bool:
    try:
        source_files.verify(source, home)
    except (DataError, OSError):
        return False
    return True


def reasons(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[str]:
    """List what of two environments can make other bytes: CPU, Python, libraries, codecs, GPU; a line each.

    Args:
        then: `environment` of a run file; None: nothing is known of it.
        now: that in which it was made again.
    """
    if not then:
        return []
    lines = [f"{key} {_said(then, key)} -> {_said(now, key)}" for key in _facts(then, now)]
    return lines + [
        f"{name} {old} -> {new}" for name, old, new in _versions(then, now) if old != new
    ]


def _facts(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    keys = ("cpu", "cpu_features", "python", "blas", "gpu", "cuda", "cudnn")
    return [key for key in keys if key in then and then.get(key) != now.get(key)]


def _said(facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key, "none")
    return " ".join(value) if isinstance(value, list) else str(value)


def _versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (name, then, now) of libraries and codecs; what only one of them names made no byte."""
    found = []
    for kind in ("packages", "codecs"):
        old, new = then.get(kind) or {}, now.get(kind) or {}
        names = sorted((old.keys() & new.keys()) - set(_NO_REASON))
        found += [(name, old[name], new[name]) for name in names]
    return found
