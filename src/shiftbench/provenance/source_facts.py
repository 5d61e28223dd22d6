"""What is read of a source file before names of modules are looked up, kept beside its bytecode.

It is kept for a file of the package, for the same bytes, with the digests that `code_digest` found for what the file's
imports mean; an audit does not look there (`from_sources_alone`).
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench import plugins

PACKAGE = plugins.PACKAGE


class Home:
    """Whose sources are digested: this installation's; of an audit from outside those of the checkout.

    Attributes:
        package: the folder of the package.
        keeps: what is kept beside bytecode is believed, and written.
    """

    package: Path = PACKAGE
    keeps: bool = True


DECLARATION, DECLARING = "TASKS", ("trainers", "methods")
"""What plugins of some families declare to the plan alone; it counts where the plugin itself reads it."""


@functools.lru_cache(maxsize=1)
def syntax(path: Path, _mtime: int, _size: int) -> ast.Module:
    """Return the syntax tree of a source file."""
    return ast.parse(path.read_text(), filename=str(path))


@dataclass(frozen=True, slots=True)
class Facts:
    """What is read of a source file before names of modules are looked up.

    Attributes:
        content: sha256 of its bytes.
        imports: of each import statement the module (None: `import ...`), and its names with what they are called here.
        reads_declaration: whether a plugin that declares something to the plan reads it itself.
        made: digest, order of use and assets, by what its imports mean (`_Imports.meaning`).
    """

    content: str
    imports: tuple[tuple[str | None, tuple[tuple[str, str | None], ...]], ...]
    reads_declaration: bool
    made: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]]


@functools.cache
def facts_of(path: Path, mtime: int, size: int) -> Facts:
    """Return what is read of a source file that was changed at `mtime` and has `size` bytes."""
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    kept = _kept(path)
    if kept and kept.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(kept.read_text())
            if (found["by"], found["content"]) == (_VERSION, content):
                return _as_facts(found)
    tree = syntax(path, mtime, size)
    statements = [
        node for node in _statements(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    imports = tuple(
        (
            None if isinstance(node, ast.Import) else _name_of(node),
            tuple((alias.name, alias.asname) for alias in node.names),
        )
        for node in statements
    )
    declares = path.parent.name in DECLARING
    return Facts(content, imports, declares and _is_read(DECLARATION, tree), {})


def _name_of(node: ast.ImportFrom) -> str:
    """Return the module that names are imported from; "" where it is a relative one."""
    return "" if node.level else str(node.module)


def _as_facts(found: dict[str, Any]) -> Facts:
    imports = tuple(
        (module, tuple((name, here) for name, here in names)) for module, names in found["imports"]
    )
    made = {
        meaning: (digest, tuple(order), tuple(assets))
        for meaning, (digest, order, assets) in found["made"].items()
    }
    return Facts(found["content"], imports, found["reads_declaration"], made)


_OURS = (Path(__file__), Path(__file__).with_name("code_digest.py"))
_VERSION = hashlib.sha256(b"".join(file.read_bytes() for file in _OURS)).hexdigest()[:32]
"""Of what digests; what another version kept is not believed."""


def _kept(path: Path) -> Path | None:
    """Return where what is found in a file of the package is kept, beside its bytecode; None: nowhere."""
    if not Home.keeps or Home.package != PACKAGE or not path.is_relative_to(PACKAGE):
        return None
    return Path(importlib.util.cache_from_source(str(path))).with_suffix(".digest")


def keep(path: Path, facts: Facts) -> None:
    """Keep what was found in a file, where Python keeps bytecode."""
    kept = _kept(path)
    if kept is None or sys.dont_write_bytecode:
        return
    plain = {"by": _VERSION, **{name: getattr(facts, name) for name in Facts.__slots__}}
    with contextlib.suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=kept.parent, prefix=f"{kept.name}.tmp")
        with os.fdopen(descriptor, "w") as file:
            json.dump(plain, file)
        Path(scratch).replace(kept)


def packages(facts: Facts) -> frozenset[str]:
    """Return the top-level packages that a source file imports from."""
    names = [str(module) for module, _ in facts.imports if module]
    names += [name for module, named in facts.imports if module is None for name, _ in named]
    return frozenset(name.partition(".")[0] for name in names)


def _statements(tree: ast.Module) -> list[ast.AST]:
    """Return a module and all statements in it, as `ast.walk` would, without their expressions."""
    found: list[ast.AST] = [tree]
    for node in found:  # which grows meanwhile
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                found += [one for one in value if isinstance(one, _HOLD_STATEMENTS)]
    return found


_HOLD_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)


def _is_read(name: str, tree: ast.Module) -> bool:
    read = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name)
    return any(isinstance(node.ctx, ast.Load) for node in read)
