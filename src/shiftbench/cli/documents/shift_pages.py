"""A page for each shift, with its picture: what of the site only the code can make (`shiftbench docs --site`).

plugins -> FOLDER/shifts/KIND/NAME.md, NAME.jpg beside where there is something to see
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.refs import number
from shiftbench.base.registry.entries import Entry
from shiftbench.base.sample import Sample
from shiftbench.data.source_files import original_folder
from shiftbench.evaluation.apply_shift import name_in_torch
from shiftbench.evaluation.corruption import corrupt
from shiftbench.workflow.tools import preview

KINDS = {
    "images": "Images",
    "images_with_a_mask": "Images with a mask",
    "sounds": "Sounds",
    "tables": "Tables",
    "code": "Code",
    "others": "Others",
    "texts": "Texts",
    "other_data": "Other data over shared classes",
}
"""What a shift changes, as its folder is named, and the heading above them."""
_FIELDS = {"image": "images", "audio": "sounds", "text": "texts"}
_TASKS = {"audio_visual": "sounds", "generation": "code", "table_question": "tables", "text_classification": "texts"}
TABLE = {
    "caption": "The inner planets",
    "header": ["planet", "diameter", "moons"],
    "rows": [["Mercury", "4879", "0"], ["Venus", "12104", "0"], ["Earth", "12756", "1"], ["Mars", "6792", "2"]],
}
PROBLEM = {
    "text": '''def long_words(sentence: str, shortest: int = 4):
    """Return the long words of a sentence, sorted.

    >>> long_words("the quick brown fox")
    ['brown', 'quick']
    """
    words = sentence.split()
    found = []
    for index in range(len(words)):
        if len(words[index]) >= shortest:
''',
    "meta": {
        "canonical_solution": "            found.append(words[index])\n    return sorted(found)\n",
        "entry_point": "long_words",
        "test": "",
    },
}
"""What shifts of tables and of code are shown on."""
SEEDS = (1.0, 2.0, 3.0)  # severities of shifts of code are seeds; some seeds leave a short prompt as it is
PICTURED = ("images", "images_with_a_mask", "sounds")
_PACKAGE = f"src/{registry.PACKAGE.name}"
_UP = "../../../../"  # from build/pages/shifts/KIND to the repository
SIDE = 160  # pixels of the photo that shifts are drawn on: a tile's, so that nothing is enlarged


def kind(module: ModuleType) -> str:
    """Return what a shift changes, a name of KINDS."""
    if getattr(module, "DOMAIN", None):
        return "other_data"
    if hasattr(module, "TASK"):
        return _TASKS.get(module.TASK, "others")
    if module.FIELD is None:
        return "images_with_a_mask" if getattr(module, "LEVELS", None) else "others"
    return _FIELDS.get(module.FIELD, "others")


def write(folder: Path) -> list[Path]:
    """Write the page of every shift, and its picture; returns the pages."""
    written = []
    for name in registry.names("shifts"):
        module = registry.find("shifts", name)
        page = folder / "shifts" / kind(module) / f"{name}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text(name, module, shown(name, module, page)))
        written.append(page)
    return written


def text(name: str, module: ModuleType, seen: str) -> str:
    """Return the page of a shift.

    Args:
        name: of the shift.
        module: its file, or entry.
        seen: what is seen of it, in Markdown.
    """
    about, _, source = (inspect.getdoc(module) or "").partition("\n\n")
    parts = [f"# {name}", about, seen, _levels(module), _options(module), source, _where(module)]
    return "\n\n".join(filter(None, parts)) + "\n"


def shown(name: str, module: ModuleType, page: Path) -> str:
    """Draw a shift beside its page, or apply it to a text; empty where neither can be done without a run.

    Args:
        name: of the shift.
        module: its file, or entry.
        page: where its page is written.
    """
    lacking = [source for source in getattr(module, "SOURCES", ()) if not original_folder(source).is_dir()]
    if lacking:
        return f"Its picture takes `shiftbench fetch {' '.join(lacking)}`, which was not done where this page was made."
    if getattr(module, "FIELD", None) == "text":
        return "\n".join(["```text", *preview.texts(name), "```"])
    if getattr(module, "FIELD", None) == "table":
        return _beside(name, Sample("ours/table", {"table": TABLE}), (5.0,), _table)
    if kind(module) == "code" and "path" not in module.PARAMS:
        return _beside(name, Sample("ours/problem", PROBLEM), SEEDS, _code)
    if kind(module) not in PICTURED or getattr(module, "INPUTS", False):
        return ""
    drawn = [preview.our_sound() if preview.draws(module) == "audio" else preview.our_square(SIDE)]
    preview.sheet(name, drawn).save(page.with_suffix(".jpg"), quality=85)
    return f"![{name} at rising severity]({name}.jpg)"


def _beside(
    name: str, sample: Sample, severities: tuple[float, ...], spelled: Callable[[Mapping[str, Any]], str]
) -> str:
    """Show a sample, and below it what a shift makes of it at the first severity that changes it."""
    before = spelled(sample.fields)
    for severity in severities:
        after = spelled(corrupt(sample, name, severity).fields)
        if after != before:
            return "\n\n".join(["Before:", before, f"At severity {number(severity)}:", after])
    return "\n\n".join(["It finds nothing to change here:", before])


def _table(fields: Mapping[str, Any]) -> str:
    table = fields["table"]
    rows = [table["header"], ["---"] * len(table["header"]), *table["rows"]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _code(fields: Mapping[str, Any]) -> str:
    return f"```python\n{fields['text'].rstrip()}\n```"


def constants(value: object) -> str:
    """Spell the constants of a level."""
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"


def _levels(module: ModuleType) -> str:
    levels = getattr(module, "LEVELS", None)
    if not levels:
        return ""
    rows = [["severity", *map(str, levels)], ["---"] * (1 + len(levels))]
    rows.append(["constants", *map(constants, levels.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _options(module: ModuleType) -> str:
    options = getattr(module, "PARAMS", {})
    if not options:
        return ""
    rows = [f"| `{name}` | `{default!r}` |" for name, default in options.items()]
    return "\n".join(["| option | default |", "| --- | --- |", *rows])


def _where(module: ModuleType) -> str:
    """Say where it stands in the code."""
    entry: Entry | None = getattr(module, "ENTRY", None)
    file = Path(str(module.__file__))
    path = f"{_PACKAGE}/{file.relative_to(registry.PACKAGE).as_posix()}"
    lines = [f"- Source: [{path}]({_UP}{path})" + (", by an entry of `entries.yaml`" if entry else "")]
    home = entry.home.parent if entry else file.parents[1]
    if home.parent == registry.SYSTEMS:
        system = f"{_PACKAGE}/{home.relative_to(registry.PACKAGE).as_posix()}"
        lines.append(f"- Of the published system [{home.name}]({_UP}{system}/README.md)")
    if name_in_torch(module):
        lines.append("- Has a torch implementation, for batches on a GPU")
    return "\n".join(lines)
