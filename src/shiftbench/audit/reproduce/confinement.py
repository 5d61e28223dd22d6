"""Landlock rules that limit a worker to the inputs of its work (`confine.py` passes them to the kernel)."""

import functools
import json
import os
import site
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from shiftbench.audit.case import Case
from shiftbench.audit.evidence import git_state
from shiftbench.audit.finding import Note
from shiftbench.base import registry
from shiftbench.base.registry import variants
from shiftbench.data import pins
from shiftbench.evaluation.sandbox import kernel
from shiftbench.provenance import code_digest
from shiftbench.provenance.recipe import Artifact

_SYSTEM = "/usr /lib /lib32 /lib64 /bin /sbin /etc /proc /sys".split()
_DEVICES = "null zero full random urandom tty nvidia* dri/*".split()
_FILE = Path(__file__).with_name("confine.py")


@functools.cache
def missing_support() -> str:
    """Why this machine cannot restrict workers; empty: it can."""
    try:
        kernel.landlock_version()
    except kernel.Lacking as error:
        return str(error)
    return ""


def note() -> Note:
    """Note on how workers are kept to their inputs here."""
    if missing_support():
        why = "only a hook on Python's open watches what workers read, and libraries bypass it"
        return Note(f"workers are not restricted by the kernel: {why} ({missing_support()})", limits=True)
    return Note("made again in processes that the kernel (Landlock) limits to their inputs")


def command(case: Case, words: list[str], folder: Path, home: Path, reads: Iterable[Path]) -> list[str]:
    """Command that starts a worker, restricted if this kernel can do so.

    It may read `reads`, and write into its own folder (for its answers) and the home of the isolated checkout.
    """
    if missing_support():
        return words
    rules = folder / "rules.json"
    rules.write_text(json.dumps(_rules(case, folder, home, reads)))
    return [sys.executable, "-I", "-S", str(_FILE), str(kernel.__file__), str(rules), *words]


def _rules(case: Case, folder: Path, home: Path, reads: Iterable[Path]) -> dict[str, list[str]]:
    packages = (case.package, registry.PACKAGE / "audit" if case.outside else registry.PACKAGE)
    parents = [folder.parent for folder in registry.Folders.extra]  # which an import of them lists
    code = [*packages, registry.PACKAGE.parent, case.scratch / "code", *parents]
    return {
        "readable": [*_interpreter(), *map(str, _with_links(reads)), *map(str, _code(case))],
        "listed": sorted({os.path.realpath(place) for place in code}),
        "devices": [str(one) for pattern in _DEVICES for one in sorted(Path("/dev").glob(pattern))],
        "writable": [str(folder), str(home), str(case.scratch / "machine code")],
    }


def _interpreter() -> list[str]:
    """Folders of the system, of the interpreter and of its packages."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, site.getuserbase())
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    packages = [place for place in sys.path if place.endswith("-packages")]
    places = [*_SYSTEM, *prefixes, *packages, *filter(os.path.isabs, libraries)]
    return sorted({os.path.realpath(place) for place in places})


@functools.lru_cache(maxsize=1)
def _code(case: Case) -> tuple[Path, ...]:
    """Source files that a worker may read: those of the package, in git only those of HEAD, and plugins.

    Other files next to the sources are not among them.
    """
    known = git_state.tracked()
    files = [file for place in (case.package, registry.PACKAGE / "audit") for file in _files(place)]
    if case.package.resolve().is_relative_to(git_state.top()) and known:
        files = [file for file in files if file in known or not file.is_relative_to(git_state.top())]
    for folder in registry.Folders.extra:
        for file in _files(folder.resolve()):
            card = file.parent.name == "sources" and file.suffix == ".yaml"
            if card or file.name in (variants.FILE, "__init__.py"):
                files.append(file)
    named = code_digest.files_of(artifact.recipe for artifact in case.plan.artifacts.values())
    return (*files, *(file.resolve() for file in named))


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if "__pycache__" not in file.parts and file.is_file():
            yield file.resolve()


def _with_links(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the targets of paths and of links in folders: DVC links files into its cache."""
    for path in dict.fromkeys(place.resolve() for place in paths):
        yield path
        if path.is_dir():
            below = (Path(place) / name for place, _, names in os.walk(path) for name in names)
            yield from (file.resolve() for file in below if file.is_symlink())


def own_files(artifacts: Iterable[Artifact]) -> Iterator[Path]:
    """Yield the user's own files and folders that are inputs of artifacts."""
    for artifact in artifacts:
        for path in pins.paths(artifact.recipe):
            yield from pins.local_files(path).values()
        yield from pins.user_locations(artifact.ref, artifact.recipe)
