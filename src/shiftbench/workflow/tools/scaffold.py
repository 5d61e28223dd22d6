"""`shiftbench new FAMILY NAME`: a plugin file to begin with, which runs as it is.

Each scaffold is a small real member of its family in `workflow/templates/new/`; tests write it, run the
contract tests of the family over it and a benchmark with it.
"""

import re
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, near
from shiftbench.base.files import write_bytes

TEMPLATES = registry.PACKAGE / "workflow/templates/new"

ASKED_FOR = {
    "analyses": "benchmarks: {BENCHMARK: {analyses: [NAME]}}",
    "datasets": "benchmarks: {BENCHMARK: {ood: [NAME]}}, or a benchmark of its own with dataset: NAME",
    "detectors": "benchmarks: {BENCHMARK: {detectors: [NAME]}}",
    "losses": "nothing: a trainer of yours says `from FOLDER.losses import NAME` and calls `NAME.loss`",
    "methods": "benchmarks: {BENCHMARK: {methods: [plain, NAME]}}",
    "metrics": "metrics: {NAME: {}}",
    "models": "benchmarks: {BENCHMARK: {models: [{architectures: [NAME], trainers: [erm]}]}}",
    "shifts": "benchmarks: {BENCHMARK: {shifts: [NAME]}}",
    "streams": "benchmarks: {BENCHMARK: {streams: [NAME]}}",
    "trainers": "benchmarks: {BENCHMARK: {models: [{architectures: [convnet], trainers: [NAME]}]}}",
}
"""The line of params.yaml that asks for a new member of each family."""


def scaffold(plugin_type: str, name: str, into: Path) -> Path:
    """Write a plugin file that runs; returns its path.

    Args:
        plugin_type: plural, as in the folder names (`shifts`).
        name: lower case, digits and underscores; becomes the file's name.
        into: a folder of plugins, made when it is missing.

    Raises:
        ParamsError: no scaffold for that family, a name that cannot be one, or one that is taken.
    """
    if plugin_type not in ASKED_FOR:
        raise ParamsError(f"no scaffold for the family {plugin_type!r}; {near(plugin_type, ASKED_FOR)}")
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ParamsError(
            f"{name!r} cannot be a plugin's name, which is its file's, in params, paths and tables: "
            "lower case letters, digits and underscores, a letter first"
        )
    file = into / plugin_type / f"{name}.py"
    if name in registry.names(plugin_type) or file.exists():
        raise ParamsError(f"there is a plugin {name!r} in {plugin_type} already; choose another name")
    template = (TEMPLATES / f"{plugin_type}.py").read_text()
    write_bytes(file, template.replace("NAME", name).encode())
    return file


def lines(plugin_type: str, name: str, into: Path) -> list[str]:
    """Return what params.yaml must say so that the new plugin is run."""
    known = into.resolve() in registry.Folders.extra
    folder = [] if known else [f"plugins: [{into.as_posix()}]"]
    return [*folder, ASKED_FOR[plugin_type].replace("NAME", name).replace("FOLDER", into.name)]
