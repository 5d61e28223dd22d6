"""`shiftbench cite`: whom a run stands on, from the docstrings and citations of what params use."""

from __future__ import annotations

import importlib.metadata
import re
from dataclasses import dataclass
from typing import Any

from shiftbench import plugins
from shiftbench.data import source_files
from shiftbench.plan.plan import Plan

SECTIONS = {
    "dataset": "datasets",
    "shift": "shifts",
    "model": "models",
    "trainer": "trainers",
    "method": "methods",
    "detector": "detectors",
}
"""Which key of a recipe names a plugin of which family."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One thing that a run used: its family, its name, and what its author asks to be cited."""

    family: str
    name: str
    text: str

    @property
    def bibtex(self) -> str:
        """The entry as BibTeX; what a citation's text does not mark is not guessed."""
        fields = {"note": self.text}
        for field, pattern in _FOUND.items():
            if found := re.search(pattern, self.text):
                fields[field] = found[1].rstrip(".,;)")
        lines = "".join(f"  {field} = {{{_escaped(value)}}},\n" for field, value in fields.items())
        return f"@misc{{{self.family}_{self.name},\n{lines}}}"


_FOUND = {"year": r"\b((?:19|20)\d\d)\b", "doi": r"doi:\s*(10\.\S+)", "url": r"(https?://\S+)"}


def bibliography(plan: Plan) -> list[Entry]:
    """Return the benchmark, then what the plan uses, sorted by family and name."""
    about = importlib.metadata.metadata("shiftbench")
    ours = f"shiftbench {about['Version']}: {about['Summary']}"
    used = {("sources", ref.name) for ref in plan.artifacts if ref.kind == "sources"}
    for artifact in plan.artifacts.values():
        used |= _named(artifact.recipe)
    entries = [
        Entry(family, name, text)
        for family, name in used
        if (text := _citation(family, name)) is not None
    ]
    return [Entry("benchmark", "shiftbench", ours), *sorted(entries)]


def _named(recipe: dict[str, Any]) -> set[tuple[str, str]]:
    """Return (family, plugin file) of everything that a recipe names."""
    found = {(family, recipe[key]["use"]) for key, family in SECTIONS.items() if key in recipe}
    metrics = recipe["metrics"].values() if recipe["verb"] == "aggregate" else ()
    return found | {("metrics", metric["use"]) for metric in metrics}


def _citation(family: str, name: str) -> str | None:
    if family == "sources":
        source = source_files.load_source(name)
        return f"{source.citation} ({source.licence})"
    module = plugins.find(family, name)
    if family == "datasets":
        return f"{module.CITATION} ({module.LICENCE})"
    return _source(module.__doc__ or "")


def _source(docstring: str) -> str | None:
    """Return what a docstring's `Source:` says, as one line, without how we differ; None: it has none."""
    found = re.search(r"Source:\s*(.+?)(?=\s*(?:Differs:|\n\s*\n|\Z))", docstring, re.DOTALL)
    text = " ".join(found[1].split()) if found else "none"
    return None if re.match(r"(none|as `)", text) else text


def _escaped(text: str) -> str:
    return re.sub(r"([&%#_{}$])", r"\\\1", text)
