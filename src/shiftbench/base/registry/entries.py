"""Entries: plugins without a file of their own, written as params.yaml would write them, beside the code.

    map50: {about: Mean average precision at an IoU of 0.5., use: map, iou: 0.5}

stands in `entries.yaml` of a family's folder, ours or a user's. `registry.find` gives a view of the file that is used,
whose PARAMS are the entry's, so that whoever asks for a plugin by name needs not know which of both it is.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from shiftbench.base.errors import PluginError, suggest, yaml_text
from shiftbench.base.files import from_yaml

FILE = "entries.yaml"


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, the file behind it, and what the options of that file are.

    Attributes:
        name: as params.yaml asks for it.
        use: the file's name; with an underscore first, a helper beside the entry, which has no name of its own.
        about: what it is; its first line stands in lists.
        options: those that differ from the file's defaults.
        home: the folder that holds `entries.yaml`.
        title: how pages write its name; None: as it follows from the name.
    """

    name: str
    use: str
    about: str
    options: Mapping[str, Any]
    home: Path
    title: str | None = None

    @property
    def where(self) -> str:
        """The file and the key, for messages."""
        return f"{self.home / FILE}: {self.name}"


def read(home: Path) -> dict[str, Entry]:
    """Return the entries of a folder by name; none where it has no `entries.yaml`.

    Raises:
        PluginError: no YAML, or an entry without `use` or `about`; the message names file and key.
    """
    file = home / FILE
    if not file.is_file():
        return {}
    stat = file.stat()
    return _read(home, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _read(home: Path, _mtime: int, _size: int) -> dict[str, Entry]:
    try:
        text = (home / FILE).read_text(encoding="utf-8")
        content = from_yaml(text) or {}
    except yaml.YAMLError as error:
        raise PluginError(f"{home / FILE} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise PluginError(f"{home / FILE} holds no mapping; expected NAME: {{about, use, options}}")
    return {name: _entry(name, given, home) for name, given in content.items()}


def _entry(name: object, given: object, home: Path) -> Entry:
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise PluginError(
            f"{home / FILE}: {name!r} cannot be a plugin's name: lower case letters, digits and underscores"
        )
    options = dict(given) if isinstance(given, dict) else {}
    texts = {key: options.pop(key, None) for key in ("use", "about")}
    for key, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise PluginError(
                f"{home / FILE}: {name}.{key} = {text!r}; expected a text: an entry names the file that it uses "
                "(`use`) and says what it is (`about`)"
            )
    title = options.pop("title", None)
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise PluginError(f"{home / FILE}: {name}.title = {title!r}; expected a text that is not empty")
    return Entry(name, str(texts["use"]), str(texts["about"]).strip(), options, home, title)


def view(entry: Entry, module: ModuleType) -> ModuleType:
    """Return a file as an entry has it: its PARAMS and docstring are the entry's, all else is the file's.

    Constants that follow from options (the SOURCES of a look, the COLUMNS of a measure) are what the file's
    `facts(options)` says.

    Raises:
        PluginError: an option that the file does not have, or of another type.
    """
    allowed: Mapping[str, object] = getattr(module, "PARAMS", {})
    for option, value in entry.options.items():
        if option not in allowed:
            raise PluginError(
                f"{entry.where}.{option}: unknown option of {module.__name__}; {suggest(option, allowed)}"
            )
        if not fits(value, allowed[option]):
            raise PluginError(f"{entry.where}.{option} {misfit(value, allowed[option])}")
    options = {**allowed, **entry.options}
    facts: Callable[[Mapping[str, object]], dict[str, object]] = getattr(module, "facts", lambda _: {})
    family = module.__name__.rpartition(".")[0]
    seen = ModuleType(f"{family}.{entry.name}", f"{entry.about}\n\n{module.__doc__ or ''}")
    own = {"PARAMS": options, "ENTRY": entry, "__name__": seen.__name__, "__doc__": seen.__doc__}
    vars(seen).update({**vars(module), **facts(options), **own})
    return seen


def fits(value: object, default: object) -> bool:
    """Tell whether a value may stand where a default stands: of its type.

    Where the default is None anything fits. None stands for "not set" in place of a number that is not counted.
    """
    if default is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, float):
        return value is None or isinstance(value, int | float)
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple) and _members_fit(value, default)
    return isinstance(value, type(default))


def _members_fit(values: Sequence[object], defaults: Sequence[object]) -> bool:
    """Tell whether each member is of the type of one that the default has; a default without members tells nothing."""
    return not defaults or all(any(fits(one, default) for default in defaults) for one in values)


def misfit(value: object, default: object) -> str:
    """Return in words that a value does not fit, after its key.

    Example:
        >>> misfit("many", 3)
        '= "many": expected a whole number (default 3), found a text'
    """
    found = "" if isinstance(value, list) and isinstance(default, list) else f", found {_kind(value)}"
    return f"= {yaml_text(value)}: expected {_kind(default)} (default {yaml_text(default)}){found}"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (dict, "a mapping of keys"),
)


def _kind(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"a list, each {_kind(value[0])}" if value else "a list"
    known = (word for kind, word in _KINDS if isinstance(value, kind))
    return "nothing" if value is None else next(known, type(value).__name__)
