"""A checkout that contains only inputs, at another path, and the processes that make outputs again in it."""

import contextlib
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
from shiftbench.audit.finding import some
from shiftbench.audit.reproduce import confinement
from shiftbench.base import registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import Ref
from shiftbench.data import pins, shards, source_files, training_log
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
_LIBRARIES = {"shard_worker": _OF_SHARDS, "model_worker": _OF_NETS}
INHERITED = (*child_environment.LIBRARIES, "NUMBA_CPU_")
"""Environment variables that a child keeps: they choose the kernels."""
_MACHINE_CODE = "machine code"
_OUTPUT = 2000
_AUDIT = "audit"


@dataclass(kw_only=True)
class Work:
    """A task of a worker, and its result: answer and environment of the worker, and whether it took too long."""

    answer: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    is_late: bool = False

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """The artifacts that are made again, whose inputs the worker may read."""
        return ()


@dataclass
class Remade(Work):
    """Work that makes one artifact again."""

    artifact: Artifact

    @property
    def ref(self) -> Ref:
        """The output."""
        return self.artifact.ref

    @property
    def artifacts(self) -> Sequence[Artifact]:
        """The artifact alone."""
        return (self.artifact,)


_Work = TypeVar("_Work", bound=Work)


class IsolatedCheckout:
    """A folder in the scratch of a case that contains only the inputs of recipes; the output root is deeper."""

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

    def lack(self, artifact: Artifact) -> str:
        """Link the inputs of an artifact; gives what is missing, as the end of a sentence; empty: nothing is."""
        missing = [ref.path for ref in artifact.inputs if not self._bring(ref)]
        for ref in artifact.inputs:
            if ref.kind == "shards" and ref.path not in missing:
                tars = (self.case.folder(ref) / tar for tar in shards.manifest(self.case.folder(ref))["tars"])
                missing += [tar.relative_to(self.case.root).as_posix() for tar in tars if not tar.is_file()]
        if missing:
            return f": {some(missing)} is not here"
        try:
            pins.check(artifact.recipe)
        except DataError as error:
            return f" without its user's own file: {error}"
        return ""

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
            self._source_files[ref.name] = None
            for home in (self.case.folder(ref), source_files.original_folder(ref.name)):
                with contextlib.suppress(DataError, OSError):
                    source_files.verify(source_files.load_source(ref.name), home)
                    self._source_files[ref.name] = home
                    break
        return self._source_files[ref.name]

    def job(self, verb: str, name: str, artifacts: Sequence[Artifact]) -> str:
        """Write a recipe file; gives its path."""
        job = Job(verb, name, tuple(artifacts), {"plugins": list(map(str, registry.Folders.extra))})
        file = self.root / job.recipe_path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(job.text())
        return str(file)

    def do(
        self,
        worker: str,
        queues: Sequence[list[_Work]],
        task: Callable[[_Work], dict[str, Any]],
        *,
        varied: bool,
        seconds: float | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Do work in parallel, in one process per list of tasks.

        Args:
            worker: name of a module in this package.
            queues: the tasks of each process; an empty list starts no process.
            task: the specification of a piece of work.
            varied: whether the environment differs from the auditor's as far as possible.
            seconds: time limit; the work of ended processes is late.
            variables: further variables of the environment.
        """
        groups = [queue for queue in queues if queue]
        started = [
            self._start(worker, queue, list(map(task, queue)), number, variables, varied=varied)
            for number, queue in enumerate(groups)
        ]
        outputs = _finish([process for process, _ in started], seconds)
        for queue, (_, file), output in zip(groups, started, outputs, strict=True):
            if output is None:
                for work in queue:
                    work.is_late = True
                continue
            if not file.is_file():
                raise DataError(f"{worker} ended without an answer; its output: {output.strip()[-_OUTPUT:]}")
            content = json.loads(file.read_text())
            for work, answer in zip(queue, content["answers"], strict=True):
                work.answer, work.environment = answer, content["environment"]

    def _start(
        self,
        worker: str,
        queue: Sequence[Work],
        tasks: list[dict[str, Any]],
        number: int,
        variables: Mapping[str, str],
        *,
        varied: bool,
    ) -> tuple[subprocess.Popen[str], Path]:
        """Start a worker; gives the process and the file of its answers."""
        folder = Path(tempfile.mkdtemp(prefix=f"{worker}-", dir=self.home.parent))
        file = folder / "spec.json"
        plugins = list(map(str, registry.Folders.extra))
        file.write_text(json.dumps({"tasks": tasks, "plugins": plugins, "number": number}))
        python = shlex.split(os.environ.get(PYTHON, "")) or [sys.executable]
        words = [*python, "-c", _START, f"{__package__}.{worker}", str(file), *_LIBRARIES[worker]]
        artifacts = [artifact for work in queue for artifact in work.artifacts]
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
        theirs = [file for file in case.package.rglob("*") if not file.is_relative_to(case.package / _AUDIT)]
        for source, files in ((case.package, theirs), (registry.PACKAGE, (registry.PACKAGE / _AUDIT).rglob("*"))):
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    _link(file.resolve(), folder / registry.PACKAGE.name / file.relative_to(source))
    return folder


def _finish(processes: list[subprocess.Popen[str]], seconds: float | None) -> list[str | None]:
    """Output of processes, or None if they took too long. All processes end in this call."""
    try:
        return [process.communicate(timeout=seconds)[0] for process in processes]
    except subprocess.TimeoutExpired:
        return [None for _ in processes]
    finally:
        for process in processes:
            process.kill()


def _link(target: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.is_symlink():
        place.symlink_to(target)
