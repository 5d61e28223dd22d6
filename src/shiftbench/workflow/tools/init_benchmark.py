"""`shiftbench init DIR`: a repository for your own benchmark, with git and DVC.

Its files are in `workflow/templates/benchmark/`. Rules, Snakefile and profile are those of this repository
(a test compares them), so that a benchmark needs only the installed package.
"""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from shiftbench.base import files, registry
from shiftbench.base.errors import ParamsError, ShiftbenchError
from shiftbench.provenance import child_environment, git, trust

TEMPLATES = registry.PACKAGE / "workflow/templates/benchmark"
OUR_REMOTE = "remotes/shiftbench"


def create(folder: Path) -> list[str]:
    """Write a benchmark repository into a new or empty folder; returns the names of its files.

    Raises:
        ParamsError: the folder is not empty.
        ShiftbenchError: git or DVC is missing or fails.
        DataError: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ParamsError(f"{folder} is not empty; name a new folder")
    if shutil.which("git") is None:
        raise ShiftbenchError("git is not installed, and a benchmark's history needs it")
    names = [_name(path) for path in sorted(TEMPLATES.rglob("*")) if path.is_file()]
    for name in names:
        files.write_bytes(folder / name, _text(name).encode())
    inside = git.says("rev-parse", "--git-dir", home=folder) is not None
    if not inside:
        _call("git", "init", "--quiet", str(folder.absolute()))
    options = ["--subdir"] if inside else []
    dvc = (sys.executable, "-P", "-m", "dvc", "--cd", str(folder.absolute()))
    _call(*dvc, "init", "--quiet", "--force", *options)
    for name in (name for name in names if name.startswith(".dvc")):  # DVC wrote its own
        files.write_bytes(folder / name, _text(name).encode())
    config = folder / ".dvc" / "config"
    files.write_bytes(config, config.read_text().replace(OUR_REMOTE, _remote(folder)).encode())
    trust.by_doing(folder)
    return names


def _remote(folder: Path) -> str:
    """The path of a remote that clones on this machine find and no other benchmark uses."""
    name = re.sub("[^A-Za-z0-9._-]+", "-", folder.resolve().name)
    return f"remotes/{name}-{uuid.uuid4().hex[:8]}"


def _name(path: Path) -> str:
    return path.relative_to(TEMPLATES).as_posix().replace("dot_", ".", 1)


def _text(name: str) -> str:
    hidden = f"dot_{name[1:]}" if name.startswith(".") else name
    text = (TEMPLATES / hidden).read_text()
    return text.replace("VERSION", importlib.metadata.version("shiftbench"))


def _call(*command: str) -> None:
    process = subprocess.run(
        command,
        cwd=child_environment.NOWHERE,
        env=child_environment.build(child_environment.DVC),
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode:
        output = (process.stderr or process.stdout).strip()
        raise ShiftbenchError(
            f"`{' '.join(command)}` failed: {output}; DVC and Snakemake come with shiftbench[workflow]"
        )
