"""A checkout that contains only inputs, at another path, and the processes that make outputs again in it."""

import json
import os
import shlex
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from shiftbench.audit.case import Case
from shiftbench.audit.reproduce import confinement
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import source_files, training_log
from shiftbench.provenance import child_environment
from shiftbench.provenance.recipe import Artifact, Job
from shiftbench.workflow.plan import unavailable

PYTHON = "SHIFTBENCH_PYTHON"
"""Environment variable: the command that starts Python for workers, if it is not the auditor's own. For example, an
emulator of another CPU (`qemu-x86_64 -cpu Haswell .venv/bin/python`), or `numactl`."""
_START = """
import importlib, os, runpy, sys
from importlib import machinery
installed = tuple(filter(None, (part for part in sys.path if part.endswith("-packages"))))
installed += tuple({f"{prefix}{os.sep}" for prefix in (sys.base_prefix, sys.base_exec_prefix)})
class FromSource(machinery.SourceFileLoader):
    def get_code(self, name):
        return self.source_to_code(self.get_data(self.path), self.path)
kinds = (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES), (FromSource, machinery.SOURCE_SUFFIXES)
def of_a_checkout(path):
    if path.startswith(installed):
        raise ImportError
    return machinery.FileFinder(path, *kinds)
sys.path_hooks.insert(0, of_a_checkout)
sys.path_importer_cache.clear()
sys.argv[:] = sys.argv[1:]
for name in sys.argv[2:]:
    importlib.import_module(name)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Start of a worker: modules that are not installed are compiled from source, never read as bytecode. Libraries are
imported before anything of the checkout."""
_OF_SHARDS = ("numpy", "pyarrow.parquet", "PIL.Image", "cv2")
_OF_NETS = (*_OF_SHARDS, "torch", "safetensors.torch")
_LIBRARIES = {"shard_worker": _OF_SHARDS, "evaluation_worker": _OF_NETS, "training_worker": _OF_NETS}
INHERITED = (*child_environment.LIBRARIES, "NUMBA_CPU_")
"""Environment variables that a child keeps: they choose the kernels."""
_MACHINE_CODE = "machine code"
_SAID = 2000
_AUDIT = "audit"


@dataclass(kw_only=True)
class Work:
    """A task of a worker, and its result.

    Attributes:
        answer: of the worker, as its `make` gives it.
        environment: of the worker.
        is_late: whether the worker was ended because it took too long.
    """

    answer: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    is_late: bool = False

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """The artifacts that are made again, whose inputs the worker may read."""
        return ()


_Work = TypeVar("_Work", bound=Work)


class IsolatedCheckout:
    """A folder that contains only the inputs of recipes.

    Args:
        case: what is audited.
        name: of a folder in its scratch; the output root is some folders deeper.
    """

    def __init__(self, case: Case, name: str) -> None:
        self.case = case
        self.home = case.scratch / name / "some" / "where" / "else"
        self.root = self.home / "made again"
        self.root.mkdir(parents=True)
        self._source_files: dict[str, Path | None] = {}
        self._places: dict[Ref, list[Path]] = {}
        self._own = [file for one in unavailable.user_files(case.plan) for file in one.files]
        (case.scratch / _MACHINE_CODE).mkdir(exist_ok=True)
        for file in self._own:  # options name them relative to the checkout
            if not file.is_absolute():
                _link(file.absolute(), self.home / file)

    def link_inputs(self, artifact: Artifact) -> list[Ref]:
        """Link the inputs of an artifact; gives the missing ones."""
        return [ref for ref in artifact.inputs if not self._bring(ref)]

    def _bring(self, ref: Ref) -> bool:
        if ref.kind == "sources":
            original = self._source_folder(ref)
        else:
            here = self.case.root / ref.path
            original = (here.parent if ref.owns_folder else here) if here.is_file() else None
        if original is None:
            return False
        place = self.root / ref.path
        _link(original.absolute(), place.parent if ref.owns_folder else place)
        self._places[ref] = [original]
        if ref.kind == "checkpoints":
            log = training_log.log_path(original.absolute())
            _link(log, training_log.log_path(place))
            self._places[ref].append(log)
        return True

    def _source_folder(self, ref: Ref) -> Path | None:
        """Folder with the checked bytes of a source, in data/sources or this machine's cache; None: not there."""
        if ref.name not in self._source_files:
            homes = (self.case.folder(ref), source_files.original_folder(ref.name))
            source = source_files.load_source(ref.name)
            complete = (home for home in homes if _is_complete(source, home))
            self._source_files[ref.name] = next(complete, None)
        return self._source_files[ref.name]

    def job(self, verb: str, name: str, artifacts: Sequence[Artifact]) -> str:
        """Write a recipe file; gives its path."""
        folders = [str(folder) for folder in registry.Folders.extra]
        job = Job(verb, name, tuple(artifacts), {"plugins": folders})
        file = self.root / job.recipe_path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(job.text())
        return str(file)

    def do(
        self,
        worker: str,
        hands: Sequence[list[_Work]],
        task: Callable[[_Work], dict[str, Any]],
        *,
        varied: bool,
        seconds: float | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Do work in parallel, in one process per list of tasks.

        Args:
            worker: name of a module in this package.
            hands: the tasks of each process; an empty list starts no process.
            task: the specification of a piece of work.
            varied: whether the environment differs from the auditor's as far as possible.
            seconds: time limit; the work of ended processes is late.
            variables: further variables of the environment.

        Raises:
            DataError: a process ended without answers; contains its output.
        """
        groups = [hand for hand in hands if hand]
        started = [
            self._start(worker, hand, list(map(task, hand)), number, variables, varied=varied)
            for number, hand in enumerate(groups)
        ]
        outputs = _finish([process for process, _ in started], seconds)
        for hand, (_, file), text in zip(groups, started, outputs, strict=True):
            if text is None:
                for work in hand:
                    work.is_late = True
                continue
            content = _read_answers(worker, file, text)
            for work, answer in zip(hand, content["answers"], strict=True):
                work.answer, work.environment = answer, content["environment"]

    def _start(
        self,
        worker: str,
        hand: Sequence[Work],
        tasks: list[dict[str, Any]],
        number: int,
        variables: Mapping[str, str],
        *,
        varied: bool,
    ) -> tuple[subprocess.Popen[str], Path]:
        """Start a worker; gives the process and the file of its answers."""
        folder = Path(tempfile.mkdtemp(prefix=f"{worker}-", dir=self.home.parent))
        file = folder / "spec.json"
        extra = [str(folder) for folder in registry.Folders.extra]
        file.write_text(json.dumps({"tasks": tasks, "plugins": extra, "number": number}))
        python = shlex.split(os.environ.get(PYTHON, "")) or [sys.executable]
        words = [*python, "-c", _START, f"{__package__}.{worker}", str(file), *_LIBRARIES[worker]]
        artifacts = [artifact for work in hand for artifact in work.artifacts]
        reads = [place for one in artifacts for ref in one.inputs for place in self._places.get(ref, ())]
        reads += [*self._own, *confinement.own_files(artifacts)]
        process = subprocess.Popen(
            confinement.command(self.case, words, folder, self.home, reads),
            cwd=self.home,
            env=child_environment.build(INHERITED, {**self._environment(folder, varied=varied), **variables}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return process, file.with_suffix(".answers")

    def _environment(self, folder: Path, *, varied: bool) -> dict[str, str]:
        """Variables of a child: no cache of the user is reachable; if `varied`, little else is the same.

        Variables of Python, the loader, git, DVC and numba are not inherited: a sitecustomize on PYTHONPATH would
        run in the worker. Machine code is compiled again from the sources, once per audit: a cache next to them could
        contain anything.
        """
        home = folder / "home"
        home.mkdir()
        (folder / "tmp").mkdir()
        own = {
            "PYTHONPATH": str(code_folder(self.case)),
            "NUMBA_CACHE_DIR": str(self.case.scratch / _MACHINE_CODE),
            "PYTHONUSERBASE": site.getuserbase(),  # packages of the user's stay in reach
            "HOME": str(home),
            "TMPDIR": str(folder / "tmp"),
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
        return {**own, **(others if varied else {})}


def code_folder(case: Case) -> Path:
    """Folder that workers import the package from.

    From outside: the checkout's package with the auditor's own `audit`; only links, so that no cache
    next to the sources is reachable.
    """
    if not case.outside:
        return registry.PACKAGE.parent
    folder = case.scratch / "code"
    if not folder.is_dir():
        own = registry.PACKAGE / _AUDIT
        _mirror(case.package, folder / registry.PACKAGE.name, without=case.package / _AUDIT)
        _mirror(own, folder / registry.PACKAGE.name / _AUDIT)
    return folder


def _mirror(source: Path, place: Path, without: Path | None = None) -> None:
    """Link each file of a folder of sources."""
    for file in source.rglob("*"):
        hidden = "__pycache__" in file.parts or (without and file.is_relative_to(without))
        if file.is_file() and not hidden:
            _link(file.resolve(), place / file.relative_to(source))


def _finish(processes: list[subprocess.Popen[str]], seconds: float | None = None) -> list[str | None]:
    """Wait for processes; gives what they printed, or None if they took too long. All processes end in this call."""
    try:
        return [process.communicate(timeout=seconds)[0] for process in processes]
    except subprocess.TimeoutExpired:
        return [None for _ in processes]
    finally:
        for process in processes:
            process.kill()


def _read_answers(worker: str, file: Path, output: str) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"{worker} ended without an answer; its output: {output.strip()[-_SAID:]}")
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _link(target: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(target)


def _is_complete(source: source_files.Source, home: Path) -> bool:
    try:
        source_files.verify(source, home)
    except (DataError, OSError):
        return False
    return True
