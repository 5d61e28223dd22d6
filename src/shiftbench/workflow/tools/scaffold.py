"""`shiftbench new PLUGIN_TYPE NAME`: the first version of a plugin or of a system, which runs without changes.

Each template in `workflow/templates/new/` is a small real plugin. Tests write it, run the contract tests of its plugin
type on it, and run a benchmark with it.
"""

import ast
import keyword
import re
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.files import write_bytes
from shiftbench.workflow.plan import cards

TEMPLATES = registry.PACKAGE / "workflow/templates/new"

USES = {
    "analyses": "benchmarks: {BENCHMARK: {analyses: [NAME]}}",
    "datasets": "benchmarks: {BENCHMARK: {ood: [NAME]}}, or a benchmark of its own with dataset: NAME",
    "detectors": "benchmarks: {BENCHMARK: {detectors: [NAME]}}",
    "importers": "nothing: a card of yours names it, FOLDER/released/RELEASE.yaml: {importer: NAME}",
    "losses": "nothing: a trainer of yours imports it, `from FOLDER.losses.NAME import NAME`",
    "methods": "benchmarks: {BENCHMARK: {methods: [plain, NAME]}}",
    "metrics": "metrics: {NAME: {}}",
    "models": "benchmarks: {BENCHMARK: {models: [{architectures: [NAME], trainers: [erm]}]}}",
    "shifts": "benchmarks: {BENCHMARK: {shifts: [NAME]}}",
    "streams": "benchmarks: {BENCHMARK: {streams: [NAME]}}",
    "trainers": "benchmarks: {BENCHMARK: {models: [{architectures: [convnet], trainers: [NAME]}]}}",
}
"""The line of params.yaml that uses a new plugin of each type."""


def scaffold(plugin_type: str, name: str, into: Path) -> Path:
    """Write a plugin file that runs; returns its path.

    Args:
        plugin_type: plural, as in the folder names (`shifts`).
        name: lower case, digits and underscores; names the file, and in types of decorated functions the function.
        into: a folder of plugins, made when it is missing.

    Raises:
        ParamsError: no template for that plugin type, or an invalid or taken name.
    """
    if plugin_type not in USES:
        raise ParamsError(f"no template for the plugin type {plugin_type!r}; {suggest(plugin_type, USES)}")
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ParamsError(
            f"{name!r} cannot be the name of a plugin, its file, and its key in params, paths and tables: "
            "expected lower case letters, digits and underscores, a letter first, and no keyword of Python"
        )
    file = into / plugin_type / f"{name}.py"
    if name in registry.names(plugin_type) or file.exists():
        raise ParamsError(f"{plugin_type} already has a plugin {name!r}; choose another name")
    template = (TEMPLATES / f"{plugin_type}.py").read_text()
    if "def NAME(" in template and name in _imported(template):
        raise ParamsError(f"{name!r} is a name that the new file imports; choose another name")
    write_bytes(file, template.replace("NAME", name).encode())
    return file


def scaffold_system(name: str, into: Path) -> str:
    """Write the card and the README of a system that runs, into `into/systems/`; returns its slug.

    Args:
        name: lower case, digits, and hyphens or underscores between them.
        into: a folder of plugins, made when it is missing.

    Raises:
        ParamsError: an invalid name, or one that a system has.
    """
    slug, folder = name.replace("_", "-"), into / "systems" / name.replace("-", "_")
    if not re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", slug) or keyword.iskeyword(folder.name):
        raise ParamsError(
            f"{name!r} cannot be the name of a system, its folder and its package: expected lower case letters and "
            "digits, with hyphens between them, a letter first, and no keyword of Python"
        )
    if slug in cards.slugs() or folder.exists():
        card = cards.file(slug) if slug in cards.slugs() else folder / "card.yaml"
        raise ParamsError(f"there is a system {slug!r} already ({card}); choose another name")
    for template in sorted((TEMPLATES / "systems").iterdir()):
        text = template.read_text().replace("NAME", folder.name).replace("SLUG", slug)
        write_bytes(folder / template.name, text.encode())
    return slug


def _imported(text: str) -> set[str]:
    """Names that the imports of a file define."""
    imports = (node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for node in imports for alias in node.names}


def params_file(into: Path) -> Path:
    """The file that uses a new plugin: the card of a system's folder, else params.yaml."""
    card = into / "card.yaml"
    return card if card.is_file() else Path("params.yaml")


def params_lines(plugin_type: str, name: str, into: Path) -> list[str]:
    """The lines of `params_file` that use the new plugin."""
    if params_file(into).name == "card.yaml":
        params = USES[plugin_type].replace("NAME", name).replace("FOLDER", into.name)
        return [f"needs: {{embedded: {{{plugin_type}: [{name}]}}}}", f"params: {{embedded: {{{params}}}}}"]
    return [*folder_lines(into), USES[plugin_type].replace("NAME", name).replace("FOLDER", into.name)]


def folder_lines(into: Path) -> list[str]:
    """The line of params.yaml that names a folder of plugins; nothing if the folder is searched already."""
    return [] if into.resolve() in registry.Folders.extra else [f"plugins: [{into.as_posix()}]"]
