"""Facts of one plugin: its file, its options with their meaning, and the constants that it declares.

The pages of plugin types and `shiftbench describe` show the same facts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from shiftbench.base import registry
from shiftbench.base.errors import NotRunError
from shiftbench.base.registry import options, variants
from shiftbench.base.registry.variants import Variant
from shiftbench.evaluation.apply_shift import name_in_torch
from shiftbench.plugins import fields as common_fields

_TYPES = {
    bool: "true or false",
    int: "int",
    float: "number",
    str: "text",
    dict: "mapping",
    type(None): "null",
    Any: "any",
}
_BOUNDS = ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt"))
_SIGNS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a plugin.

    Attributes:
        default: as JSON.
        type: in words, with the smallest and the largest value.
        meaning: empty if the plugin states none.
        is_common: the meaning is that of a field of `plugins.fields`.
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
        variant: the variant of `variants.yaml`; None for other plugins.
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
    variant = variants.of(module)
    file = Path(str(module.__file__))
    base = variant.use if variant and not variant.use.startswith("_") else ""
    fields, values = options.fields(module), registry.defaults(module)
    shown = variant.options if variant and base else values
    return Facts(
        plugin_type,
        name,
        registry.about(module),
        file,
        base,
        variant,
        home(module) if home(module).parent == registry.SYSTEMS else None,
        tuple(option(key, fields[key], values[key]) for key in shown),
        declared(plugin_type, module),
    )


def home(module: ModuleType) -> Path:
    """Folder that a plugin belongs to: the package's `plugins/`, a system's, or a user's."""
    variant = variants.of(module)  # the file that it uses may be elsewhere
    return variant.home.parent if variant else Path(str(module.__file__)).parents[1]


def option(name: str, field: FieldInfo, value: object) -> Option:
    """An option of a plugin from its field, with the value that it has by default."""
    meaning = field.description or ""
    return Option(name, as_json(value), _with_bounds(field), meaning, is_common=meaning in COMMON.values())


def _common() -> dict[str, str]:
    """Meaning of each field of `plugins.fields`, by its name."""
    fields = {name: value for name, value in vars(common_fields).items() if get_origin(value) is Annotated}
    return {name: get_args(value)[1].description for name, value in fields.items()}


COMMON = _common()


def as_json(value: object) -> str:
    """A value as params.yaml may have it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _with_bounds(field: FieldInfo) -> str:
    """The type of a field in words: `int ≥ 1`."""
    bounds = {kind: getattr(bound, key) for bound in field.metadata for kind, key in _BOUNDS if isinstance(bound, kind)}
    words = type_words(field.annotation)
    if {Ge, Le} <= bounds.keys():
        return f"{words} from {bounds[Ge]:g} to {bounds[Le]:g}"
    return " ".join([words, *(f"{_SIGNS[kind]} {value:g}" for kind, value in bounds.items())])


def type_words(annotation: Any) -> str:
    """A type in words: `list of number`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(type_words, arguments)))
    if origin in (list, tuple):
        members = " or ".join(dict.fromkeys(type_words(one) for one in arguments if one is not ...))
        return "list" if members in ("", "any") else f"list of {members}"
    return _TYPES.get(origin or annotation) or str(getattr(annotation, "__name__", annotation))


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
