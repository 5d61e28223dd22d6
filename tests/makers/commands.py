"""Command lines in Python (`snakemake`, `shiftbench`, `dvc`) as children of a process that has their libraries.

Most of what a short command takes is the import of torch, Snakemake and others: three seconds of five. Of the package
itself nothing is imported before the fork: each checkout brings its own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import multiprocessing
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path

NAMES = ("dvc", "shiftbench", "snakemake")
LIBRARIES = (
    "torch polars pyarrow.parquet pyarrow.compute pyarrow.dataset cv2 PIL.Image scipy.stats sklearn.linear_model numba "
    "pydantic typer rich.console jinja2 snakemake.cli dvc.cli dvc.repo dvc.commands.repro dvc_data.index"
).split()


READ_ON_IMPORT = {"KUBECONFIG"}
"""Variables that a library reads when it is imported, so that a fork comes too late."""


def run(
    command: tuple[str, ...], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as `subprocess.run` would."""
    if command[0] not in NAMES or READ_ON_IMPORT & environment.keys():
        return subprocess.run(
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
        )
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stdout", Path(folder) / "stderr"
        process = context().Process(target=_be, args=(command, cwd, dict(environment), said))
        process.start()
        process.join()
        texts = [file.read_text() if file.is_file() else "" for file in said]
    return subprocess.CompletedProcess(command, process.exitcode or 0, *texts)


def context() -> ForkServerContext:
    """Return what starts processes that have the libraries."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def _be(
    command: tuple[str, ...], cwd: Path, environment: dict[str, str], said: tuple[Path, Path]
) -> None:
    """Be the command: its folder, environment, outputs, path of modules and words."""
    os.setsid()
    for number, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.fsync = lambda _: None  # as in conftest.py
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [*environment["PYTHONPATH"].split(os.pathsep), *_installed()]
    sys.argv[:] = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    sys.modules.pop("sitecustomize", None)
    importlib.import_module("sitecustomize")
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name=command[0])
    try:
        sys.exit(entry.load()())
    except SystemExit:
        raise
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        sys.exit(1)


def _installed() -> list[str]:
    """Return the interpreter's own part of the path, without the folders of tests."""
    tests = str(Path(__file__).parent.parent)
    return [place for place in sys.path if place and not place.startswith(tests)]
