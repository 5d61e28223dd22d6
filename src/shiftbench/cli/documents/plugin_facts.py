"""Facts of one plugin: its file, its options with their meaning, and the constants that it declares.

The pages of plugin types and `shiftbench describe` show the same facts.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import NotRunError
from shiftbench.base.registry import entries
from shiftbench.base.registry.entries import Variant
from shiftbench.cli.documents import common_options
from shiftbench.evaluation.apply_shift import name_in_torch

_TYPES = {bool: "true or false", int: "int", float: "number", str: "text", dict: "mapping", type(None): "any"}
_SENTENCE_END = r"(?<!\bet al)(?<!\b[A-Z])\.\s(?=[A-Z`])"
_ITEM = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a plugin.

    Attributes:
        default: as JSON.
        type: in words.
        meaning: empty if the code has none.
        is_common: the meaning is that of `common_options`.
    """

    name: str
    default: str
    type: str
    meaning: str
    is_common: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the pages and `shiftbench describe` show of a plugin.

    Attributes:
        summary: the first line of its docstring.
        file: the source; of a variant, that of the plugin or helper that it uses.
        base: of a variant, the name of the plugin that it uses; empty if it uses a helper.
        variant: the variant of `entries.yaml`; None for other plugins.
        system: the folder of the published system that the plugin belongs to; None for general plugins.
        options: of a variant with a base, only those that it sets.
        declared: label -> text of each declared constant.
    """

    plugin_type: str
    name: str
    summary: str
    file: Path
    base: str
    variant: Variant | None
    system: Path | None
    options: tuple[Option, ...]
    declared: Mapping[str, str]


def of(plugin_type: str, name: str) -> Facts:
    """Facts of a plugin, by its type and name."""
    module = registry.find(plugin_type, name)
    variant = entries.of(module)
    file = Path(str(module.__file__))
    base = variant.use if variant and not variant.use.startswith("_") else ""
    params: Mapping[str, object] = getattr(module, "PARAMS", {})
    shown = {option: params[option] for option in variant.options} if variant and base else params
    return Facts(
        plugin_type,
        name,
        registry.about(module),
        file,
        base,
        variant,
        home(module) if home(module).parent == registry.SYSTEMS else None,
        tuple(option(plugin_type, module, key, default) for key, default in shown.items()),
        declared(plugin_type, module),
    )


def home(module: ModuleType) -> Path:
    """Folder that a plugin belongs to: the package's `plugins/`, a system's, or a user's."""
    variant = entries.of(module)  # the file that it uses may be elsewhere
    return variant.home.parent if variant else Path(str(module.__file__)).parents[1]


def option(plugin_type: str, module: ModuleType, name: str, default: object) -> Option:
    """An option of a plugin, with the meaning that its docstrings give, or else the meaning that is common."""
    statements = list(_statements(module))
    own = _definition(statements, name) or _argument(module, name) or _definition(_helper_statements(module), name)
    common = common_options.meaning(plugin_type, registry.called(module), name)
    meaning = own or common or _mention(statements, name)
    return Option(name, as_json(default), _type(default), meaning, is_common=bool(common and not own))


def as_json(value: object) -> str:
    """A value as params.yaml may have it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _type(default: object) -> str:
    if isinstance(default, list | tuple):
        members = dict.fromkeys(map(_type, default))
        return f"list of {' or '.join(members)}" if members else "list"
    return _TYPES.get(type(default), type(default).__name__)


def _statements(module: ModuleType, options: Iterable[str] = ()) -> Iterator[str]:
    """Yield the sentences, list items and table rows of a module's docstring; formulas and code are left out.

    A semicolon before the name of an option ends a sentence, too.
    """
    names = "|".join(map(re.escape, {**getattr(module, "PARAMS", {}), **dict.fromkeys(options)}))
    sentence_end = re.compile(rf"{_SENTENCE_END}|;\s(?=`(?:{names})\b)") if names else re.compile(_SENTENCE_END)
    for block in re.split(r"\n\s*\n", inspect.getdoc(module) or ""):
        if block.startswith("    "):
            continue
        if block.startswith("|"):
            yield from map(_table_row, block.splitlines())
            continue
        for item in _ITEM.split(block):
            yield from sentence_end.split(" ".join(item.removeprefix("Options: ").split()))


def _helper_statements(module: ModuleType) -> Iterator[str]:
    """Yield the statements of the themed file of a plugin, and of the helpers (`_loop`) that a plugin imports."""
    options = getattr(module, "PARAMS", {})
    if registry.location(module).name:
        yield from _statements(inspect.getmodule(vars(module)["function"]) or module, options)
    for helper in list(vars(module).values()):
        if isinstance(helper, ModuleType) and registry.called(helper).startswith("_"):
            yield from _statements(helper, options)


def _table_row(line: str) -> str:
    """A row of a docstring's table as `name`: text."""
    first, *others = [cell.strip() for cell in line.strip("| ").split(" | ")]
    return f"{first}: {': '.join(others)}"


def _definition(statements: Iterable[str], option: str) -> str:
    """Statement that begins with an option's name; without the name if a colon or a comma follows it."""
    name = rf"`{re.escape(option)}(?:[:=][^`]*)?`"
    first = re.compile(rf"(?:`[^`]+`(?:,| and| or)? )*{name}(?P<colon>: |, )?")
    for statement in statements:
        match = first.match(statement)
        if match:
            text = statement[match.end() :] if match["colon"] and match[0].count("`") == 2 else statement
            return text.strip().rstrip(".;")
    return ""


def _mention(statements: list[str], option: str) -> str:
    """First clause that names an option."""
    name = re.compile(rf"`{re.escape(option)}(?:[:=][^`]*)?`")
    texts = (text for text in statements if not text.startswith("Source:"))
    clauses = (clause for text in texts for clause in re.split(r";\s", text))
    return next((clause.strip().rstrip(".;") for clause in clauses if name.search(clause)), "")


def _argument(module: ModuleType, option: str) -> str:
    """Description of an argument with the option's name, in a public function of the plugin's file."""
    for name, value in list(vars(module).items()):
        code = getattr(value, "__code__", None)
        if name.startswith("_") or code is None or code.co_filename != module.__file__:
            continue
        arguments = (inspect.getdoc(value) or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
        match = re.search(rf"^ {{4}}{re.escape(option)}: (.+(?:\n {{8}}.+)*)", arguments, re.MULTILINE)
        if match:
            return " ".join(match[1].split()).rstrip(".")
    return ""


def declared(plugin_type: str, module: ModuleType) -> dict[str, str]:
    """Constants that a plugin declares, as label -> text in Markdown; those that it does not have are left out."""
    texts = {label: spell(_constant(module, name)) for name, (label, spell) in _DECLARED.get(plugin_type, {}).items()}
    if plugin_type == "shifts":
        texts["Torch implementation"] = "yes, for batches on a GPU" if name_in_torch(module) else ""
    return {label: text for label, text in texts.items() if text}


def _constant(module: ModuleType, name: str) -> Any:
    """A constant of a plugin; None if it has none, or only running an untrusted file would give it."""
    try:
        return getattr(module, name, None)
    except NotRunError:
        return None


def _code(value: Any) -> str:
    """One name or several, as code."""
    names = [value] if isinstance(value, str) else list(value or ())
    return ", ".join(f"`{name}`" for name in names)


def _range(value: Any) -> str:
    if not value:
        return ""
    low, high = (None if bound is None else f"{bound:g}" for bound in value)
    if low and high:
        return f"{low} to {high}"
    return f"at least {low}" if low else f"at most {high}" if high else "any number"


def _levels(value: Mapping[int, Any] | None) -> str:
    """Constants of levels, on one line; several constants of a level in brackets."""
    texts = (
        f"({constants(level)})" if isinstance(level, tuple) else constants(level) for level in (value or {}).values()
    )
    return ", ".join(texts)


def constants(value: object) -> str:
    """Constants of one level."""
    return ", ".join(f"{number:g}" for number in value) if isinstance(value, tuple) else f"{value:g}"


def _domain(value: Mapping[str, str] | None) -> str:
    if not value:
        return ""
    clean, shifted = (f"`{value[key]}`" if value[key] else "the option" for key in ("clean", "dataset"))
    return f"clean {clean}, shifted {shifted}"


def _grid(value: Mapping[str, Any] | None) -> str:
    return "; ".join(f"`{name}` {as_json(values)}" for name, values in (value or {}).items())


def _text(value: Any) -> str:
    return str(value or "")


def _count(value: Any) -> str:
    return str(len(value)) if value and isinstance(value, tuple) else ""


def _direction(value: Any) -> str:
    return {True: "higher", False: "lower"}.get(value, "")


_DECLARED: dict[str, dict[str, tuple[str, Callable[[Any], str]]]] = {
    "tasks": {"FIELDS": ("Fields", _code), "REQUIRED": ("Required fields", _code), "METRICS": ("Metrics", _code)},
    "datasets": {
        "TASK": ("Task", _code),
        "CLASSES": ("Classes", _count),
        "NATIVE": ("Splits of the source", _code),
        "SOURCES": ("Source files", _code),
        "LICENCE": ("Licence", _text),
    },
    "shifts": {
        "TASK": ("Task", _code),
        "FIELD": ("Field", _code),
        "RANGE": ("Severities", _range),
        "LEVELS": ("Constants at severities 1 to 5", _levels),
        "DOMAIN": ("Data sets", _domain),
    },
    "models": {"TASK": ("Task", _code), "PRETRAINED_ON": ("Pretrained on", _code)},
    "trainers": {"TASKS": ("Tasks", _code)},
    "methods": {"TASKS": ("Tasks", _code), "SEES": ("Sees", _code), "NEEDS": ("Needs", _code)},
    "detectors": {"NEEDS": ("Needs", _code), "FIT": ("Fitted on", _code), "GRID": ("Values of a search", _grid)},
    "metrics": {
        "KIND": ("Kind", _code),
        "UNIT": ("Unit", _text),
        "RANGE": ("Range", _range),
        "HIGHER_IS_BETTER": ("Better", _direction),
        "COLUMNS": ("Columns of records", _code),
    },
}
"""Plugin type -> constant -> its label, and the function that makes it a text."""
