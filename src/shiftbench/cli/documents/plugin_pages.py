"""Reference of all plugins: docs/params/TYPE.md for each plugin type, and the index docs/plugins.md."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.registry import variants
from shiftbench.cli.documents import markdown, plugin_facts
from shiftbench.cli.documents.plugin_facts import Facts, Option
from shiftbench.workflow.plan import cards
from shiftbench.workflow.plan.params import SECTIONS

INDEX = "docs/plugins.md"
FOLDER = "docs/params"
ABOUT = {
    "tasks": "A task is a kind of problem: the fields of its samples, the columns of its records, and its metrics.",
    "datasets": "A data set gives samples of one task, with classes, splits and a licence.",
    "shifts": "A shift changes samples with a severity, or is another data set with the same classes.",
    "streams": "A stream is an ordered list of conditions, for methods that adapt over time.",
    "models": "A model is an architecture, or an adapter of your own model.",
    "trainers": "A trainer makes the checkpoint of a model.",
    "optimizers": "An optimiser makes a step from a gradient; the trainers' option `optimizer` names one.",
    "losses": "A loss is a function that trainers import; its options are its parameters that have a default.",
    "methods": "A method changes a model's predictions at test time.",
    "detectors": "A detector gives each sample an OOD score; a higher score means more OOD.",
    "metrics": "A metric turns records or scores into one value per condition.",
    "importers": "An importer splits a file of released results into lines of named cells.",
    "analyses": "An analysis measures something that is not one model on one condition.",
}
_PACKAGE = f"src/{registry.PACKAGE.name}"
_COMMON_APART = ("trainers",)
"""Plugin types whose plugins list their common options on one line, below the table of the others."""


def pages() -> dict[str, str]:
    """Each page by its path in the repository."""
    plugins = {plugin_type: _facts(plugin_type) for plugin_type in registry.PLUGIN_TYPES}
    made = {f"{FOLDER}/{plugin_type}.md": page(plugin_type, facts) for plugin_type, facts in plugins.items()}
    return {**made, INDEX: index(plugins)}


def _facts(plugin_type: str) -> list[Facts]:
    return [
        plugin_facts.of(plugin_type, name) for name in registry.packaged_names(plugin_type) if not name.startswith("_")
    ]


def index(plugins: Mapping[str, Sequence[Facts]]) -> str:
    """docs/plugins.md: one line for each plugin of each type, with its file."""
    lines = ["# All plugins", "", markdown.GENERATED, ""]
    lines += [
        "This page lists every plugin with its source file. A name links to the plugin's description and options."
    ]
    for plugin_type, facts in plugins.items():
        lines += ["", f"## {plugin_type}", "", "| plugin | file |", "| --- | --- |"]
        for plugin in sorted(facts, key=lambda one: one.name):
            link = f"[`{plugin.name}`](params/{plugin_type}.md#{plugin.name})"
            lines.append(f"| {link} | {_file(plugin, '..')} |")
    return "\n".join(lines) + "\n"


def page(plugin_type: str, facts: Sequence[Facts]) -> str:
    """Page of a plugin type: the general plugins, then those of each published system."""
    by_system: dict[Path | None, list[Facts]] = {}
    for plugin in sorted(facts, key=lambda one: one.name):
        by_system.setdefault(plugin.system, []).append(plugin)
    slugs = {cards.file(slug).parent: slug for slug in cards.slugs()}
    systems = sorted((slugs[folder], folder) for folder in by_system if folder)
    general = by_system.get(None, [])
    lines = [f"# {plugin_type.capitalize()}", "", markdown.GENERATED, "", ABOUT[plugin_type], ""]
    lines += [*_use(plugin_type), "", *_contents(general, systems), *_common(plugin_type, facts)]
    bases = {plugin.name: plugin for plugin in facts}
    if general:
        lines += ["", "## General plugins"]
    for plugin in general:
        lines += ["", *_plugin(plugin, bases)]
    for slug, folder in systems:
        card = cards.load(slug)
        readme = f"../../{_PACKAGE}/systems/{folder.name}/README.md"
        lines += [
            "",
            f"## System {slug}",
            "",
            f"These plugins belong to the published system [{card.title}]({readme}).",
        ]
        for plugin in by_system[folder]:
            lines += ["", *_plugin(plugin, bases)]
    return "\n".join(lines) + "\n"


def _use(plugin_type: str) -> list[str]:
    """How a plugin of a type gets its options, and where its contract is."""
    contract = "[The contract](../extending.md) says what such a plugin defines."
    if plugin_type not in SECTIONS:
        return [contract]
    return [
        f"Options go under `{plugin_type}:` in [params.yaml](../params.md), for example `NAME: {{OPTION: VALUE}}`.",
        contract,
    ]


def _contents(general: Sequence[Facts], systems: Iterable[tuple[str, Path]]) -> list[str]:
    names = " · ".join(f"[`{plugin.name}`](#{plugin.name})" for plugin in general)
    sections = " · ".join(f"[{slug}](#system-{slug})" for slug, _ in systems)
    lines = [
        *([f"**General:** {names}"] if names else []),
        *([f"**Of published systems:** {sections}"] if sections else []),
    ]
    return "\n\n".join(lines).split("\n")


def _common(plugin_type: str, facts: Sequence[Facts]) -> list[str]:
    """Table of the options whose meaning the page gives once."""
    if plugin_type not in _COMMON_APART:
        return []
    common = {one.name: one.meaning for plugin in facts for one in plugin.options if one.is_common}
    rows = [[f"`{name}`", meaning] for name, meaning in common.items()]
    head = [
        "",
        "## Common options",
        "",
        f"Many {plugin_type} have these options. Defaults differ, see each plugin.",
        "",
    ]
    return [*head, *markdown.table(["option", "meaning"], rows)]


def _plugin(plugin: Facts, bases: Mapping[str, Facts]) -> list[str]:
    """Section of a plugin."""
    about = [f"- Source: {_file(plugin, '../..')}"]
    if plugin.base:
        about.insert(0, f"- Variant of [`{plugin.base}`](#{plugin.base}), which has further options")
    inherited = bases[plugin.base].declared.items() if plugin.base in bases else ()
    about += [f"- {label}: {text}" for label, text in plugin.declared.items() if (label, text) not in inherited]
    lines = [f"### `{plugin.name}`", "", markdown.text(plugin.summary), "", *about]
    apart = [one for one in plugin.options if one.is_common and plugin.plugin_type in _COMMON_APART]
    own = [one for one in plugin.options if one not in apart]
    if own:
        lines += ["", *_options(own)]
    if apart:
        values = ", ".join(f"`{one.name}: {one.default}`" for one in apart)
        lines += ["", f"[Common options](#common-options): {values}"]
    return lines


def _options(options: Iterable[Option]) -> list[str]:
    rows = [[f"`{one.name}`", f"`{one.default}`", one.type, one.meaning] for one in options]
    return markdown.table(["option", "default", "type", "meaning"], rows)


def _file(plugin: Facts, up: str) -> str:
    """Link to the source of a plugin; of a variant to its `variants.yaml` and to the file that it uses."""
    links = [_link(plugin.file, up)]
    if plugin.variant:
        links.insert(0, _link(plugin.variant.home / variants.FILE, up))
    return ", uses ".join(links)


def _link(file: Path, up: str) -> str:
    path = file.relative_to(registry.PACKAGE).as_posix()
    return f"[{path}]({up}/{_PACKAGE}/{path})"
