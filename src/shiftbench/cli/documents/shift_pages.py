"""A page with a picture for each shift (`shiftbench docs --site`), and the list of all shifts.

plugins -> FOLDER/shifts/KIND/NAME.md, with NAME.jpg where there is something to see; docs/list_of_shifts.md
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.refs import number
from shiftbench.base.registry import variants
from shiftbench.base.sample import Sample
from shiftbench.cli.documents import markdown, plugin_facts
from shiftbench.data.source_files import original_folder
from shiftbench.evaluation.apply_shift import TORCH, name_in_torch
from shiftbench.evaluation.corruption import corrupt
from shiftbench.workflow.stages import fetch
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
"""What a shift changes: the folder's name -> the heading."""
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
"""The sample on which shifts of code are shown; TABLE is that of tables."""
SEEDS = (1.0, 2.0, 3.0)  # severities of shifts of code are seeds; some seeds do not change a short prompt
PICTURED = ("images", "images_with_a_mask", "sounds")
_PACKAGE = f"src/{registry.PACKAGE.name}"
_UP = "../../../../"  # from build/pages/shifts/KIND to the repository
SIDE = 160  # pixels of the photo on which shifts are drawn: as many as a tile, so that nothing is enlarged


def kind(module: ModuleType) -> str:
    """What a shift changes, a name of KINDS."""
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
        page.write_text(text(name, module, picture(name, module, page)))
        written.append(page)
    return written


def text(name: str, module: ModuleType, illustration: str) -> str:
    """Page of a shift; `seen` is its picture or example, in Markdown."""
    about, _, source = (inspect.getdoc(module) or "").partition("\n\n")
    reference = f"Its [options](../../../../docs/params/shifts.md#{name}) are in the reference."
    parts = [f"# {name}", about, illustration, _levels(module), reference, source, _links(module)]
    return "\n\n".join(filter(None, parts)) + "\n"


def picture(name: str, module: ModuleType, page: Path) -> str:
    """Picture of a shift, drawn next to its page, or its example, in Markdown; empty if a run would be needed."""
    missing = [source for source in getattr(module, "SOURCES", ()) if not original_folder(source).is_dir()]
    if missing:
        return f"The picture needs `shiftbench fetch {' '.join(missing)}`, which was not run before this page was made."
    if getattr(module, "FIELD", None) == "text":
        return "\n".join(["```text", *preview.texts(name), "```"])
    if getattr(module, "FIELD", None) == "table":
        return _before_and_after(name, Sample("ours/table", {"table": TABLE}), (5.0,), _table)
    if kind(module) == "code" and "path" not in registry.defaults(module):
        return _before_and_after(name, Sample("ours/problem", PROBLEM), SEEDS, _code)
    if kind(module) not in PICTURED or getattr(module, "INPUTS", False):
        return ""
    samples = [preview.built_in_sound() if preview.drawn_field(module) == "audio" else preview.built_in_square(SIDE)]
    preview.sheet(name, samples).save(page.with_suffix(".jpg"), quality=85)
    return f"![{name} at rising severity]({name}.jpg)"


def _before_and_after(
    name: str, sample: Sample, severities: tuple[float, ...], show: Callable[[Mapping[str, Any]], str]
) -> str:
    """A sample, and its copy under a shift at the first severity that changes it."""
    original = show(sample.fields)
    for severity in severities:
        changed = show(corrupt(sample, name, severity).fields)
        if changed != original:
            return "\n\n".join(["Before:", original, f"At severity {number(severity)}:", changed])
    return "\n\n".join(["This shift does not change this sample:", original])


def _table(fields: Mapping[str, Any]) -> str:
    table = fields["table"]
    rows = [table["header"], ["---"] * len(table["header"]), *table["rows"]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _code(fields: Mapping[str, Any]) -> str:
    return f"```python\n{fields['text'].rstrip()}\n```"


def _levels(module: ModuleType) -> str:
    levels = getattr(module, "LEVELS", None)
    if not levels:
        return ""
    rows = [["severity", *map(str, levels)], ["---"] * (1 + len(levels))]
    rows.append(["constants", *map(plugin_facts.constants, levels.values())])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _links(module: ModuleType) -> str:
    """Links to the source and to the published system of a shift."""
    variant = variants.of(module)
    file = Path(str(module.__file__))
    path = f"{_PACKAGE}/{file.relative_to(registry.PACKAGE).as_posix()}"
    lines = [f"- Source: [{path}]({_UP}{path})" + (", with a variant in `variants.yaml`" if variant else "")]
    home = plugin_facts.home(module)
    if home.parent == registry.SYSTEMS:
        system = f"{_PACKAGE}/{home.relative_to(registry.PACKAGE).as_posix()}"
        lines.append(f"- Part of the published system [{home.name}]({_UP}{system}/README.md)")
    if name_in_torch(module):
        lines.append("- Has a torch implementation, for batches on a GPU")
    return "\n".join(lines)


def listing() -> str:
    """docs/list_of_shifts.md: what each shift is, its levels, its source."""
    modules = {name: registry.find("shifts", name) for name in registry.names("shifts")}
    with_levels = {name: module for name, module in modules.items() if getattr(module, "LEVELS", None)}
    lines = ["# The shifts", "", markdown.GENERATED, ""]
    lines += ["`torch`: has a torch implementation, for batches on a GPU. Constants are those of levels 1 to 5."]
    for folder, title in KINDS.items():
        rows = [_row(name, module) for name, module in with_levels.items() if folder == kind(module)]
        if rows:
            lines += ["", f"## {title}", "", "| shift | what it is | levels 1 to 5 | options | torch |"]
            lines += ["| --- | --- | --- | --- | --- |", *rows]
    texts = [name for name, module in with_levels.items() if module.FIELD == "text"]
    for source in sorted({source for name in texts for source in getattr(modules[name], "SOURCES", ())}):
        fetch.keep(source)
    lines += ["", "### At level 3", "", f"| | {preview.TEXT} |", "| --- | --- |"]
    lines += [markdown.row(f"`{name}`", corrupt(preview.TEXT, name, 3.0, key="a")) for name in texts]
    lines += ["", "## Other data over shared classes", "", "| shift | clean | shifted |", "| --- | --- | --- |"]
    domains = {name: getattr(module, "DOMAIN", None) for name, module in modules.items()}
    lines += [
        markdown.row(f"`{name}`", domain["clean"] or "as params say", domain["dataset"] or "as params say")
        for name, domain in domains.items()
        if domain
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, module: ModuleType) -> str:
    variant = variants.of(module)
    about = registry.about(module) + (f" (`use: {variant.use}`)" if variant else "")
    levels = " · ".join(map(plugin_facts.constants, module.LEVELS.values()))
    options = " ".join(f"`{option}`" for option in registry.defaults(module))
    return markdown.row(f"`{name}`", about, levels, options, "yes" if name in registry.names(TORCH) else "")
