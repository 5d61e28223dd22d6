"""Code digests: which source decides an output, blind to comments, docstrings and formatting.

Snakemake does not see what a module imports, so every recipe carries the digest of each source
file in the static import closure of its plugins and its stage.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from shiftbench import plugins
from shiftbench.errors import PluginError

PACKAGE = plugins.PACKAGE
MISSING = "missing"

NOT_COUNTED = frozenset(
    (
        "__init__ __main__ audit cards cli code devices docs environment errors files leftout locks params "
        "pins plan plugins positions progress prune recipe release remotes rules scales sensitivity "
        "store stored streaming"
    ).split()
)
"""Modules that decide which jobs run and how they are told, never the bytes of an output."""


def closure(files: Iterable[Path]) -> dict[str, str]:
    """Return {module path: digest} of the files, their static imports in the package and their ASSETS."""
    found: dict[str, str] = {}
    queue = list(files)
    while queue:
        path = queue.pop()
        name = spell(path)
        if name in found:
            continue
        found[name] = digest(path)
        if found[name] != MISSING:
            queue.extend(_imports(path, path.stat().st_mtime_ns))
    return dict(sorted(found.items()))


def spell(path: Path) -> str:
    """Name a source file independently of where the package is installed."""
    if path.is_relative_to(PACKAGE):
        return path.relative_to(PACKAGE.parent).as_posix()
    for number, folder in enumerate(plugins.Folders.extra):
        if path.is_relative_to(folder):
            return f"plugins{number}/{path.relative_to(folder).as_posix()}"
    raise PluginError(f"{path} lies neither in the package nor in a folder under `plugins:`")


def locate(name: str) -> Path:
    """Inverse of `spell`."""
    home, _, rest = name.partition("/")
    if home.startswith("plugins"):
        return plugins.Folders.extra[int(home.removeprefix("plugins"))] / rest
    return PACKAGE.parent / name


def digest(path: Path) -> str:
    """Return the digest of one source file or asset (32 hexadecimal digits).

    Python files are digested over their syntax tree without comments, docstrings, positions and
    empty fields, so that the digest is the same under Python 3.11 to 3.13.
    """
    if not path.is_file():
        return MISSING
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _digest(path: Path, _mtime: int, _size: int) -> str:
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    tree = ast.parse(path.read_text(), filename=str(path))
    hasher = hashlib.sha256()
    for token in _tokens(tree):
        hasher.update(token.encode() + b"\0")
    return hasher.hexdigest()[:32]


def _tokens(node: object) -> Iterable[str]:
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for field, value in ast.iter_fields(node):
            kept = _significant(node, field, value)
            if field in ("type_comment", "kind", "ctx") or kept is None or kept == []:
                continue
            yield field
            yield from _tokens(kept)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from _tokens(item)
    else:
        yield f"{type(node).__name__}:{node!r}"


def _significant(node: ast.AST, field: str, value: object) -> object:
    """Drop a docstring, and the empty pieces that Python 3.12 alone leaves in f-strings."""
    if not isinstance(value, list) or not value:
        return value
    if isinstance(node, ast.JoinedStr):
        return [part for part in value if not (isinstance(part, ast.Constant) and not part.value)]
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, documented) and field == "body" and _is_text(value[0]):
        return value[1:]
    return value


def _is_text(node: ast.AST) -> bool:
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and isinstance(constant.value, str)


@functools.cache
def _imports(path: Path, _mtime: int) -> tuple[Path, ...]:
    """Return the package files that a source file imports, and its ASSETS."""
    if path.suffix != ".py":
        return ()
    tree = ast.parse(path.read_text())
    found: list[Path] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [hit for alias in node.names if (hit := _module(alias.name))]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inner = [_module(f"{node.module}.{alias.name}") for alias in node.names]
            found += [hit for hit in inner if hit] or [hit for hit in [_module(node.module)] if hit]
        elif isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "ASSETS" for t in node.targets
        ):
            found += [path.parent / asset for asset in ast.literal_eval(node.value)]
    return tuple(found)


def _module(name: str) -> Path | None:
    package, _, rest = name.partition(".")
    if package != "shiftbench" or rest.split(".")[0] in NOT_COUNTED:
        return None
    path = PACKAGE.joinpath(*rest.split(".")) if rest else PACKAGE
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


def stage(name: str) -> Path:
    """Return the source file of a stage."""
    return PACKAGE / f"{name}.py"


def cpu_count() -> int:
    """Return the number of usable CPUs (affinity respected)."""
    return len(os.sched_getaffinity(0))
