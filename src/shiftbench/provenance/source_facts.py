"""Facts of source files (`definitions.py`), cached next to their bytecode.

The cache is for files of the package with the same bytes; an audit does not read it (`from_sources_alone`).
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.provenance import definition_writer, definitions, import_effects, module_names, scopes, special_names
from shiftbench.provenance.definitions import Definition, Text

PACKAGE = registry.PACKAGE


class Home:
    """The package whose sources are digested: this installation; for an audit from outside, the checkout.

    Attributes:
        package: the folder of the package.
        keeps: whether the cache next to bytecode is read and written.
    """

    package: Path = PACKAGE
    keeps: bool = True


DECLARATION, DECLARING = "TASKS", ("trainers", "methods")
"""Declarations of plugins for the plan alone; they count only if the plugin itself reads them."""
TITLE = "TITLE"
"""Title of a plugin on pages; it counts only if the plugin itself reads it."""

_DIGESTING = (definitions, definition_writer, scopes, special_names, import_effects, module_names)
_FILES = (__file__, *(str(module.__file__) for module in _DIGESTING))
_VERSION = hashlib.sha256(b"".join(Path(file).read_bytes() for file in _FILES)).hexdigest()[:32]
"""Version of the digesting code; caches of other versions are ignored."""


@functools.cache
def text_of(path: Path, _mtime: int, _size: int) -> Text:
    """The facts of a source file with this time of change and size.

    Raises:
        PluginError: it is no Python.
    """
    source = path.read_bytes()
    package = _package_of(path)
    content = hashlib.sha256(f"{package} ".encode() + source).hexdigest()
    cache = _cache_file(path)
    if cache and cache.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(cache.read_text())
            if (facts["by"], facts["content"]) == (_VERSION, content):
                return _as_text(facts["text"])
    try:
        text = definitions.read(source, package, str(path))
    except (SyntaxError, ValueError) as error:  # a byte 0
        raise PluginError(f"{path} is no Python: {error}; mend it") from error
    _write_cache(path, {"by": _VERSION, "content": content, "text": _as_json(text)})
    return text


def _package_of(path: Path) -> str:
    """Dotted name of the package that a file is in."""
    for home in (Home.package, *registry.Folders.extra):
        if path.is_relative_to(home):
            return ".".join((home.name, *path.relative_to(home).parts[:-1]))
    return path.parent.name


def _as_json(text: Text) -> dict[str, Any]:
    facts = {name: getattr(text, name) for name in Text.__slots__}
    facts["definitions"] = [
        [
            sorted(value) if isinstance(value, frozenset) else value
            for value in (getattr(definition, name) for name in Definition.__slots__)
        ]
        for definition in text.definitions
    ]
    return facts


def _as_text(facts: dict[str, Any]) -> Text:
    read_definitions = [
        Definition(
            tuple(names),
            meaning,
            (descriptions[0], descriptions[1]),
            tuple(uses),
            tuple(notes),
            tuple(lazy),
            tuple(strings),
            tuple(calls),
            frozenset(traits),
            tuple((first, last) for first, last in lines),
        )
        for names, meaning, descriptions, uses, notes, lazy, strings, calls, traits, lines in facts["definitions"]
    ]
    return Text(
        dict(facts["aliases"]),
        tuple(facts["imports"]),
        tuple(facts["stars"]),
        tuple(facts["assets"]),
        tuple(read_definitions),
        (facts["descriptions"][0], facts["descriptions"][1], facts["descriptions"][2]),
    )


def _cache_file(path: Path) -> Path | None:
    """The cache file of a source file of the package; None for other files."""
    if not Home.keeps or Home.package != PACKAGE or not path.is_relative_to(PACKAGE):
        return None
    return Path(importlib.util.cache_from_source(str(path))).with_suffix(".digest")


def _write_cache(path: Path, facts: dict[str, Any]) -> None:
    """Cache the facts of a source file next to its bytecode."""
    cache = _cache_file(path)
    if cache is None or sys.dont_write_bytecode:
        return
    with contextlib.suppress(OSError):
        cache.parent.mkdir(exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=cache.parent, prefix=f"{cache.name}.tmp")
        with os.fdopen(descriptor, "w") as file:
            json.dump(facts, file, separators=(",", ":"))
        Path(scratch).replace(cache)
