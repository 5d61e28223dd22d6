"""What a worker can reach: rules for Landlock, from what its work is made from (`confine.py` asks the kernel)."""

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
from shiftbench.base.registry import entries
from shiftbench.data import pins
from shiftbench.evaluation.sandbox import kernel
from shiftbench.provenance import code_digest
from shiftbench.provenance.recipe import Artifact

_SYSTEM = "/usr /lib /lib32 /lib64 /bin /sbin /etc /proc /sys".split()
_DEVICES = "null zero full random urandom tty nvidia* dri/*".split()
_FILE = Path(__file__).with_name("confine.py")


@functools.cache
def lacking() -> str:
    """Return why workers cannot be locked in here; empty: they are."""
    try:
        kernel.landlock_version()
    except kernel.Lacking as error:
        return str(error)
    return ""


def note() -> Note:
    """Return what keeps workers to their inputs here."""
    if lacking():
        why = "a hook on Python's open alone tells what was read to make outputs again, and libraries pass it by"
        return Note(f"not locked in by the kernel: {why} ({lacking()})", limits=True)
    return Note("made again in processes that the kernel (Landlock) lets read nothing but their inputs")


def command(case: Case, words: list[str], folder: Path, home: Path, reads: Iterable[Path]) -> list[str]:
    """Return the command that starts a worker; locked in, where this kernel can.

    Args:
        case: what is audited.
        words: the command.
        folder: its own, for its answers.
        home: the folder of the isolated checkout.
        reads: its inputs.
    """
    if lacking():
        return words
    rules = folder / "rules.json"
    rules.write_text(json.dumps(_rules(case, folder, home, reads)))
    own = [sys.executable, "-I", "-S", str(_FILE), str(kernel.__file__), str(rules)]
    return [*own, *words]


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
    """Return what is the system's, the interpreter and its packages."""
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, site.getuserbase())
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    packages = [place for place in sys.path if place.endswith("-packages")]
    places = [*_SYSTEM, *prefixes, *packages, *filter(os.path.isabs, libraries)]
    return sorted({os.path.realpath(place) for place in places})


@functools.lru_cache(maxsize=1)
def _code(case: Case) -> tuple[Path, ...]:
    """Return the source files that a worker may read: of the package, in git what HEAD has; of plugins, what they are.

    Data that lies beside the sources and that nobody names is not among them.
    """
    known = git_state.tracked()
    found = [file for place in (case.package, registry.PACKAGE / "audit") for file in _files(place)]
    if case.package.resolve().is_relative_to(git_state.top()) and known:
        found = [file for file in found if file in known or not file.is_relative_to(git_state.top())]
    for folder in registry.Folders.extra:
        for file in _files(folder.resolve()):
            card = file.parent.name == "sources" and file.suffix == ".yaml"
            if card or file.name in (entries.FILE, "__init__.py"):
                found.append(file)
    named = code_digest.files_of(artifact.recipe for artifact in case.plan.artifacts.values())
    return (*found, *(file.resolve() for file in named))


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        if "__pycache__" not in file.parts and file.is_file():
            yield file.resolve()


def _with_links(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield where paths lead, and where the links in folders do: DVC links files into its cache."""
    for path in dict.fromkeys(place.resolve() for place in paths):
        yield path
        if path.is_dir():
            below = (Path(place) / name for place, _, names in os.walk(path) for name in names)
            yield from (file.resolve() for file in below if file.is_symlink())


def yours(artifacts: Iterable[Artifact]) -> Iterator[Path]:
    """Yield the user's own files and folders that artifacts are made from."""
    for artifact in artifacts:
        for path in pins.paths(artifact.recipe):
            yield from pins.local_files(path).values()
        yield from pins.user_locations(artifact.ref, artifact.recipe)
