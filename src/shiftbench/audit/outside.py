"""Audits from outside: another installation audits a checkout, and imports nothing of it.

Levels 0 and 1 read its params, receipts, shards, records and git with the auditor's own code. Its sources are parsed
for their digests, its plugins for their constants. From level 2 on, separate processes run its code, but with the
auditor's own `audit` package.
"""

import contextlib
import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shiftbench import __version__
from shiftbench.base import registry
from shiftbench.base.errors import ParamsError
from shiftbench.provenance import code_digest, source_facts, trust

_OWN = ("audit",)
"""Parts of the package that come from the auditor, never from the checkout."""


@contextmanager
def enter(folder: Path) -> Iterator[Path]:
    """Enter a checkout, and read its code instead of running it; gives the folder of the audited package."""
    if not (folder / "params.yaml").is_file():
        raise ParamsError(f"{folder} is no checkout: it has no params.yaml; name the folder that does")
    package = package_of(folder)
    before = registry.Folders.only_read, source_facts.Home.package
    with contextlib.chdir(folder):
        registry.Folders.only_read, source_facts.Home.package = True, package
        try:
            yield package
        finally:
            registry.Folders.only_read, source_facts.Home.package = before


def package_of(folder: Path) -> Path:
    """Package in a checkout; the auditor's own if the checkout contains none."""
    places = (folder.resolve() / name for name in trust.SOURCES)
    return next((place for place in places if (place / "base/refs.py").is_file()), registry.PACKAGE)


def is_inside(folder: Path) -> bool:
    """Whether the auditor is part of the checkout in a folder, so that the checkout could have changed it."""
    return registry.PACKAGE.resolve().is_relative_to(folder.resolve())


@functools.cache
def differing_modules(package: Path) -> tuple[str, ...]:
    """Modules, except for the audit, that differ from this installation."""
    here, there = _modules(registry.PACKAGE), _modules(package)
    pairs = ((name, registry.PACKAGE / name, package / name) for name in sorted(here | there))
    return tuple(
        name
        for name, one, two in pairs
        if not (one.is_file() and two.is_file())
        or (one.read_bytes() != two.read_bytes() and code_digest.digest(one) != code_digest.digest(two))
    )


def _modules(package: Path) -> set[str]:
    names = (path.relative_to(package) for path in package.rglob("*.py"))
    return {name.as_posix() for name in names if name.parts[0] not in _OWN}


def auditor() -> dict[str, Any]:
    """Version and place of the auditor, and one sha256 over all files of the installed package."""
    hasher = hashlib.sha256()
    for file in sorted(registry.PACKAGE.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            name = file.relative_to(registry.PACKAGE).as_posix()
            hasher.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return {"version": __version__, "digest": hasher.hexdigest(), "place": str(registry.PACKAGE)}
