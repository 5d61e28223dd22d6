"""Code digests: the definitions that decide an output, whatever their names and wherever they are written.

A job begins at its stage and its plugins, and reaches the definitions that these use, directly or through others. The
definitions are numbered in the order in which they are reached. The digest of a job, `linked`, covers the meaning of
each definition and the numbers of the definitions that it uses. So it does not depend on names and places of
definitions, but on each change of meaning or of use.

Only Python source of the package and of plugin folders is read; the environment identifies installed packages.
`source_facts` and `definitions` read files, `linker` follows references, and `job_code` numbers the definitions of a
job.
"""

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.registry.declared import Location
from shiftbench.provenance import definitions
from shiftbench.provenance.job_code import Code, JobCodes
from shiftbench.provenance.linker import Linker, Span
from shiftbench.provenance.source_facts import Home, text_of
from shiftbench.provenance.source_names import PACKAGE, audited, bytes_digest, locate_root, stat_of


def of(roots: Iterable[Path | Location]) -> Code:
    """Code of jobs that begin at some files, or at functions in files.

    Raises:
        PluginError: a file, or an asset that it names, does not exist.
    """
    locations = (Location(root) if isinstance(root, Path) else root for root in roots)
    audited_roots = tuple(Location(audited(root.file), root.name) for root in locations)
    with _LOCK:
        return _jobs().code(audited_roots)


def named_digests(code: Mapping[str, Mapping[str, str] | str]) -> Iterator[tuple[str, str]]:
    """Yield a table's definitions, such as `shiftbench/plugins/shifts/fog.py: shares`, with their digests."""
    for file, entry in code.items():
        if isinstance(entry, str):
            yield file, entry
        else:
            yield from ((f"{file}: {name}", digest) for name, digest in entry.items())


def digests(code: Mapping[str, Mapping[str, str] | str]) -> list[str]:
    """Digests of a table, without names."""
    tables = [[entry] if isinstance(entry, str) else entry.values() for entry in code.values()]
    return [digest for table in tables for digest in table]


def files_of(recipes: Iterable[Mapping[str, Any]]) -> list[Path]:
    """The source files and assets that jobs with some recipes read, sorted.

    Raises:
        PluginError: a file does not exist.
    """
    roots = {tuple(recipe.get("roots", ())) for recipe in recipes}
    files = (of(map(locate_root, names)).files for names in roots if names)
    return sorted(frozenset().union(*files))


def changed_definitions(recipe: Mapping[str, Any]) -> list[str]:
    """Definitions that differ from a recipe, by name; if only their use differs, the files.

    Raises:
        PluginError: a file does not exist any more.
    """
    if not recipe.get("roots"):
        return []
    now = of(map(locate_root, recipe["roots"])).recipe()
    return [line.rpartition(" ")[0] for line in differences(recipe, now)]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Definitions that differ in two recipes, such as `shiftbench/plugins/shifts/fog.py: shares changed`."""
    if all(old.get(key) == new.get(key) for key in ("linked", "code")):
        return []
    if ("roots" in old) != ("roots" in new):
        return [OTHERWISE]
    before, now = dict(named_digests(old.get("code", {}))), dict(named_digests(new.get("code", {})))
    removed, added = before.keys() - now.keys(), now.keys() - before.keys()
    moved = {before[name] for name in removed} & {now[name] for name in added}
    lines = [
        *(f"{name} changed" for name in before.keys() & now.keys() if before[name] != now[name]),
        *(f"{name} added" for name in added if now[name] not in moved),
        *(f"{name} gone" for name in removed if before[name] not in moved),
    ]
    if lines or old.get("linked") == new.get("linked"):
        return sorted(lines)
    return [f"{name} linked otherwise" for name in new.get("roots", ())]


OTHERWISE = "code was digested by file, not by definition, when one of the two was made"
"""Difference of recipes that are older than digests of definitions."""


def definitions_of(paths: Iterable[Path]) -> dict[Path, list[Span]]:
    """Definitions of files; a file that cannot change a byte of an output, or is no Python, has none."""
    with _LOCK:
        linker = _jobs().linker
        files = {path: linker.file(audited(path)) for path in paths if path.suffix == ".py"}
        return {path: linker.spans(file) if file.counts else [] for path, file in files.items()}


def digest(path: Path) -> str:
    """Digest of one source file with all its definitions and names, or of an asset's bytes.

    Raises:
        PluginError: there is no such file.
    """
    stat = stat_of(path)
    if path.suffix != ".py":
        return bytes_digest(path, stat.st_mtime_ns, stat.st_size)
    text = text_of(path, stat.st_mtime_ns, stat.st_size)
    parts = [repr((sorted(text.aliases.items()), text.imports, text.stars, text.assets))]
    parts += [repr((definition.names, definition.meaning, definition.uses)) for definition in text.definitions]
    return definitions.digest(parts)


@functools.cache
def stage(name: str) -> Path:
    """Source file of a module that makes outputs: a stage, or `evaluation.onthefly`."""
    home, _, module = name.rpartition(".")
    return PACKAGE / (home or "workflow/stages") / f"{module}.py"


@contextlib.contextmanager
def from_sources_alone() -> Iterator[None]:
    """Digest sources without the cache of their facts."""
    before = Home.keeps
    Home.keeps = False
    forget()
    try:
        yield
    finally:
        Home.keeps = before


def forget() -> None:
    """Forget all sources, so that the next call reads them again."""
    text_of.cache_clear()
    _Cache.jobs = None


_LOCK = threading.RLock()


class _Cache:
    """The codes of this process, as long as no source that was read has changed."""

    jobs: JobCodes | None = None


def _jobs() -> JobCodes:
    homes = (Home.package, *registry.Folders.extra)
    jobs = _Cache.jobs
    if jobs is None or jobs.linker.homes != homes or not jobs.linker.is_current():
        jobs = _Cache.jobs = JobCodes(Linker(homes))
    return jobs
