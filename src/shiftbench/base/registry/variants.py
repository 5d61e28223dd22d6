"""Variants: plugins that differ from another plugin by options alone.

A variant is a line in `variants.yaml` of the plugin type's folder, ours or a user's:

    map50: {about: Mean average precision at an IoU of 0.5., use: map, iou: 0.5}

`registry.find("metrics", "map50")` returns a view of the plugin `map` with the variant's options.
Callers need not know whether a name is a variant.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from shiftbench.base.errors import PluginError
from shiftbench.base.files import from_yaml
from shiftbench.base.registry.options import defaults, problems

FILE = "variants.yaml"
_OLD_FILE = "entries.yaml"


@dataclass(frozen=True, slots=True)
class Variant:
    """A line of `variants.yaml`: a name, the plugin that it uses, and the options.

    Attributes:
        name: as in params.yaml.
        use: the plugin's name; with a leading underscore, a helper in the same folder, which is no plugin.
        about: description; lists show its first line.
        options: those that differ from the plugin's defaults.
        home: the folder of `variants.yaml`.
        title: how pages write the name; None: a title is made from the name.
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


def read(home: Path) -> dict[str, Variant]:
    """Read the variants of a folder, by name; none if it has no `variants.yaml`.

    Raises:
        PluginError: invalid YAML, or a variant without `use` or `about`; the message names file and key.
    """
    file = home / FILE
    if not file.is_file():
        if (home / _OLD_FILE).is_file():
            raise PluginError(f"{home / _OLD_FILE} is called {FILE} now; rename it")
        return {}
    stat = file.stat()
    return _read(home, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _read(home: Path, _mtime: int, _size: int) -> dict[str, Variant]:
    try:
        text = (home / FILE).read_text(encoding="utf-8")
        content = from_yaml(text) or {}
    except yaml.YAMLError as error:
        raise PluginError(f"{home / FILE} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise PluginError(f"{home / FILE} holds no mapping; expected NAME: {{about, use, options}}")
    return {name: _variant(name, given, home) for name, given in content.items()}


def _variant(name: object, given: object, home: Path) -> Variant:
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise PluginError(
            f"{home / FILE}: {name!r} cannot be a plugin's name: lower case letters, digits and underscores"
        )
    options = dict(given) if isinstance(given, dict) else {}
    texts = {key: options.pop(key, None) for key in ("use", "about")}
    for key, text in texts.items():
        if not isinstance(text, str) or not text.strip():
            raise PluginError(
                f"{home / FILE}: {name}.{key} = {text!r}; expected a text: a variant names the plugin that it uses "
                "(`use`) and says what it is (`about`)"
            )
    title = options.pop("title", None)
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise PluginError(f"{home / FILE}: {name}.title = {title!r}; expected a text that is not empty")
    return Variant(name, str(texts["use"]), str(texts["about"]).strip(), options, home, title)


def view(variant: Variant, module: ModuleType) -> ModuleType:
    """A plugin with the options and the docstring of a variant; all else is the plugin's.

    Constants that follow from options (the SOURCES of a look, the COLUMNS of a measure) are those that the plugin's
    `facts(options)` returns.

    Raises:
        PluginError: an option that the plugin does not have, or a value of another type.
    """
    wrong = problems(module, variant.options)
    if wrong:
        raise PluginError("\n".join(f"{variant.where}.{line}" for line in wrong))
    options = {**defaults(module), **variant.options}
    facts: Callable[[Mapping[str, object]], dict[str, object]] = getattr(module, "facts", lambda _: {})
    package = module.__name__.rpartition(".")[0]
    copy = ModuleType(f"{package}.{variant.name}", f"{variant.about}\n\n{module.__doc__ or ''}")
    own = {"VARIANT": variant, "__name__": copy.__name__, "__doc__": copy.__doc__}
    vars(copy).update({**vars(module), **facts(options), **own})
    return copy


def of(module: ModuleType) -> Variant | None:
    """The variant that a plugin is; None if the plugin is a file or a function."""
    variant: object = vars(module).get("VARIANT")
    return variant if isinstance(variant, Variant) else None
