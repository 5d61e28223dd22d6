"""`shiftbench cite`: the works behind a run, from the docstrings and citations of its plugins."""

import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any

from shiftbench.base import registry
from shiftbench.data import source_files
from shiftbench.workflow.plan.plan import Plan

SECTIONS = {
    "dataset": "datasets",
    "shift": "shifts",
    "model": "models",
    "trainer": "trainers",
    "method": "methods",
    "detector": "detectors",
}
"""Key of a recipe -> the type of the plugin that it names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A work to cite: plugin type, name, the citation, and its title if known."""

    plugin_type: str
    name: str
    text: str
    title: str | None = None

    @property
    def bibtex(self) -> str:
        """The work as a BibTeX entry; fields that the citation does not mark are left out."""
        fields: dict[str, str | None] = {"author": authors(self.text), "title": self.title}
        for field, pattern in _PATTERNS.items():
            if match := re.search(pattern, self.text):
                fields[field] = fields.get(field) or match[match.lastindex or 1].rstrip(".,;)")
        fields["note"] = self.text
        escaped = {key: _escape(value) for key, value in fields.items() if value} | {
            key: value for key, value in fields.items() if value and key == "author"
        }
        lines = "".join(f"  {key} = {{{value}}},\n" for key, value in escaped.items())
        return f"@misc{{{self.plugin_type}_{self.name},\n{lines}}}"


_NAME = r"(?:(?:van|der|de|von|Van|De|La) )*[A-Z][a-z'][\w'-]*"
_SEVERAL = rf"(?:{_NAME}(?:, {_NAME})* (?:and|&) {_NAME}|{_NAME} et al\.)"
_NAMES = rf"(?>{_SEVERAL}|{_NAME})"
_YEAR = r"(?:19|20)\d\d\b"
_PLACE = rf"(?:arXiv|doi:|http|{_YEAR}|[A-Z]{{3,}}|[A-Z][A-Za-z. ]* \d|technical report|third edition)"
"""The start of the text after a title: the place of publication."""
_PLAIN = rf"(?!{_PLACE})[A-Z0-9][^;\"()]+?(?=, {_PLACE})"
_PATTERNS = {
    "title": rf'^(?:(?:{_NAMES}[^;"(]*)?"([A-Z0-9][^"]+)"|{_NAMES}, ({_PLAIN}))',  # of the first work
    "year": rf"\b({_YEAR})",
    "doi": r"doi:\s*(10\.\S+)",
    "url": r"(https?://\S+)",
    "eprint": r"arXiv:(\d{4}\.\d{4,5})",
}
_AUTHORS = rf'({_SEVERAL})[, ]|({_NAME})(?:,? (?=(?:{_YEAR}|"))|, (?={_PLACE}|{_PLAIN}))'


def authors(text: str) -> str | None:
    """The authors at the start of a citation, in BibTeX's form; None if it has another start.

    Example:
        >>> authors("van der Walt, Zhou and Van Gool 2014, PeerJ"), authors('Liu et al., "Energy", NeurIPS 2020')
        ('van der Walt and Zhou and {Van Gool}', 'Liu and others')
    """
    if text.startswith("shiftbench "):
        return "{The shiftbench authors}"
    match = re.match(_AUTHORS, text)
    names = re.split(" and | & |, |(?= et al)", match[1] or match[2]) if match else []
    return " and ".join(map(_name, names)) or None


def _name(surname: str) -> str:
    """A surname in the form that BibTeX reads as one."""
    if surname == " et al.":
        return "others"
    return f"{{{surname}}}" if re.match("[A-Z].* ", surname) else surname


def bibliography(plan: Plan) -> list[Entry]:
    """The benchmark, then the works behind a plan, sorted by plugin type and name."""
    about = importlib.metadata.metadata("shiftbench")
    own_text = f"shiftbench {about['Version']}: {about['Summary']}"
    title = f"shiftbench: {about['Summary'].rstrip('.')}"
    used = {("sources", ref.name) for ref in plan.artifacts if ref.kind == "sources"}
    for artifact in plan.artifacts.values():
        used |= _plugins_of(artifact.recipe)
    entries = [
        Entry(plugin_type, name, text, _title(plugin_type, name))
        for plugin_type, name in used
        if (text := _citation(plugin_type, name)) is not None
    ]
    return [Entry("benchmark", "shiftbench", own_text, title), *sorted(entries, key=_order)]


def _order(entry: Entry) -> tuple[str, str]:
    return entry.plugin_type, entry.name


def _title(plugin_type: str, name: str) -> str | None:
    """The title on a source's card; None for plugins, whose citation has the title."""
    return source_files.load_source(name).title if plugin_type == "sources" else None


def _plugins_of(recipe: dict[str, Any]) -> set[tuple[str, str]]:
    """(plugin type, plugin) of all plugins in a recipe."""
    plugins = {(plugin_type, recipe[key]["use"]) for key, plugin_type in SECTIONS.items() if key in recipe}
    metrics = recipe["metrics"].values() if recipe["verb"] == "aggregate" else ()
    return plugins | {("metrics", metric["use"]) for metric in metrics}


def _citation(plugin_type: str, name: str) -> str | None:
    if plugin_type == "sources":
        source = source_files.load_source(name)
        return f"{source.citation} ({source.licence})"
    module = registry.find(plugin_type, name)
    if plugin_type == "datasets":
        return f"{module.CITATION} ({module.LICENCE})"
    return _source(module.__doc__ or "")


def _source(docstring: str) -> str | None:
    """The `Source:` of a docstring on one line, without `Differs:`; None if it has none."""
    match = re.search(r"Source:\s*(.+?)(?=\s*(?:Differs:|\n\s*\n|\Z))", docstring, re.DOTALL)
    text = " ".join(match[1].split()) if match else "none"
    return None if re.match(r"(none|as `)", text) else text


def _escape(text: str) -> str:
    return re.sub(r"([&%#_{}$])", r"\\\1", text)
