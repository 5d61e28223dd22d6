"""Names of source files that do not depend on where they are installed, and which files count for outputs.

spell(path) -> `shiftbench/plugins/shifts/fog.py`          locate(name) -> path
"""

import functools
import hashlib
import os
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.base.registry.declared import Location
from shiftbench.provenance.source_facts import Home

PACKAGE = registry.PACKAGE

NOT_COUNTED = (
    "__init__ base.files base.library_imports base.progress base.registry "
    "audit cli provenance release workflow.engine workflow.plan workflow.storage workflow.tools "
    "data.pins data.places data.row_digests evaluation.batch_sensitivity evaluation.devices plugins.declare "
    "workflow.stages.verbs"
).split()
"""Modules and packages that decide which jobs run, where, and how they are shown, but no byte of an output."""


def counts(file: Path) -> bool:
    """Whether a module can change a byte of an output."""
    if not file.is_relative_to(Home.package):
        return True
    name = ".".join(file.relative_to(Home.package).with_suffix("").parts)
    return not any(f"{name}.".startswith(f"{module}.") for module in NOT_COUNTED)


def audited(path: Path) -> Path:
    """Path of a source file of this installation in the package whose sources are digested."""
    return Home.package / path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path


def spell(path: Path) -> str:
    """Name a source file independently of where its home is installed: `shiftbench/base/rng.py`, `mine/shifts/x.py`."""
    for folder in (Home.package, *registry.Folders.extra):
        if path.is_relative_to(folder):
            return path.relative_to(folder.parent).as_posix()
    raise PluginError(f"{path} lies neither in the package nor in a folder under `plugins:`")


def locate(name: str) -> Path:
    """Inverse of `spell`."""
    top = name.partition("/")[0]
    for folder in (Home.package, *registry.Folders.extra):
        if folder.name == top:
            return folder.parent / name
    raise PluginError(f"{name} lies in no folder under `plugins:`")


def spell_root(root: Location) -> str:
    """Name where a job's code begins: `shiftbench/plugins/shifts/fog.py`, or with a function, `...py:auroc`."""
    return f"{spell(root.file)}:{root.name}" if root.name else spell(root.file)


def locate_root(name: str) -> Location:
    """Inverse of `spell_root`."""
    file, _, function = name.partition(":")
    return Location(locate(file), function)


def stat_of(path: Path) -> os.stat_result:
    """Status of a source file or an asset.

    Raises:
        PluginError: there is no such file.
    """
    try:
        return path.stat()
    except FileNotFoundError:
        raise PluginError(
            f"{path} is not there, and a plugin reads it (ASSETS); take it back from git, or install the package anew"
        ) from None


@functools.cache
def bytes_digest(path: Path, _mtime: int, _size: int) -> str:
    """Digest of a file's bytes (32 hexadecimal digits); read again if its time of change or its size differs."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
