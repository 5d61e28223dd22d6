"""Facts of source files (`definitions.py`), cached next to their bytecode.

It is kept for a file of the package, for the same bytes; an audit does not look there (`from_sources_alone`).
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
from shiftbench.provenance import definitions, import_effects, module_names
from shiftbench.provenance.definitions import Definition, Text

PACKAGE = registry.PACKAGE


class Home:
    """Whose sources are digested: this installation's; of an audit from outside those of the checkout.

    Attributes:
        package: the folder of the package.
        keeps: whether the cache next to bytecode is read and written.
    """

    package: Path = PACKAGE
    keeps: bool = True


DECLARATION, DECLARING = "TASKS", ("trainers", "methods")
"""Declarations of plugins for the plan alone; they count only if the plugin itself reads them."""
TITLE = "TITLE"
"""What pages call a plugin: display only, so it counts only where the plugin itself reads it."""

_OURS = (__file__, definitions.__file__, import_effects.__file__, module_names.__file__)
_VERSION = hashlib.sha256(b"".join(Path(one).read_bytes() for one in _OURS)).hexdigest()[:32]
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
    kept = _kept(path)
    if kept and kept.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(kept.read_text())
            if (found["by"], found["content"]) == (_VERSION, content):
                return _as_text(found["text"])
    try:
        text = definitions.read(source, package, str(path))
    except (SyntaxError, ValueError) as error:  # a byte 0
        raise PluginError(f"{path} is no Python: {error}; mend it") from error
    _keep(path, {"by": _VERSION, "content": content, "text": _as_json(text)})
    return text


def _package_of(path: Path) -> str:
    """Dotted name of the package that a file is in."""
    for home in (Home.package, *registry.Folders.extra):
        if path.is_relative_to(home):
            return ".".join((home.name, *path.relative_to(home).parts[:-1]))
    return path.parent.name


def _as_json(text: Text) -> dict[str, Any]:
    whole = {name: getattr(text, name) for name in Text.__slots__}
    whole["definitions"] = [
        [
            sorted(value) if isinstance(value, frozenset) else value
            for value in (getattr(one, name) for name in Definition.__slots__)
        ]
        for one in text.definitions
    ]
    return whole


def _as_text(found: dict[str, Any]) -> Text:
    made = [
        Definition(
            tuple(names),
            meaning,
            (told[0], told[1]),
            tuple(uses),
            tuple(notes),
            tuple(lazy),
            tuple(strings),
            tuple(calls),
            frozenset(traits),
            tuple((first, last) for first, last in lines),
        )
        for names, meaning, told, uses, notes, lazy, strings, calls, traits, lines in found["definitions"]
    ]
    return Text(
        dict(found["aliases"]),
        tuple(found["imports"]),
        tuple(found["stars"]),
        tuple(found["assets"]),
        tuple(made),
        (found["told"][0], found["told"][1], found["told"][2]),
    )


def _kept(path: Path) -> Path | None:
    """The cache file of a source file of the package; None for other files."""
    if not Home.keeps or Home.package != PACKAGE or not path.is_relative_to(PACKAGE):
        return None
    return Path(importlib.util.cache_from_source(str(path))).with_suffix(".digest")


def _keep(path: Path, found: dict[str, Any]) -> None:
    """Cache the facts of a source file next to its bytecode."""
    kept = _kept(path)
    if kept is None or sys.dont_write_bytecode:
        return
    with contextlib.suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=kept.parent, prefix=f"{kept.name}.tmp")
        with os.fdopen(descriptor, "w") as file:
            json.dump(found, file, separators=(",", ":"))
        Path(scratch).replace(kept)
