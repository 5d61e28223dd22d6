"""Code digests: which source decides an output, blind to comments, docstrings, formatting and to where a file stands.

Snakemake does not see what a module imports, so every recipe carries the digest of each source file in the
static import closure of its plugins and its stage. A file's digest does not hold what it imports by name or
path, only which import each use means (`import 0: read`): so a module may be moved or renamed, its imports adjusted,
and nothing is made again. What binds uses to content is `linked`, one digest over the whole graph of imports.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shiftbench import plugins
from shiftbench.errors import PluginError
from shiftbench.provenance.source_facts import (
    DECLARATION,
    DECLARING,
    Facts,
    Home,
    facts_of,
    keep,
    packages,
    syntax,
)

PACKAGE = plugins.PACKAGE


def _audited(path: Path) -> Path:
    """Return where a source file of this installation lies in the package whose sources are digested."""
    return Home.package / path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path


NOT_COUNTED = (
    "__init__ entries errors files library_imports plugins progress "
    "audit cli documents engine plan provenance release storage tools "
    "data.pins data.places inference.batch_sensitivity inference.devices"
).split()
"""What decides which jobs run, where, and how they are told, never the bytes of an output: modules and packages."""


def closure(files: Iterable[Path]) -> dict[str, str]:
    """Return {file: digest} of the files, their static imports in the package and their ASSETS.

    Raises:
        PluginError: an asset that a file names is not there.
    """
    return dict(sorted((spell(path), one.digest) for path, one in _reached(files).items()))


def linked(files: Iterable[Path]) -> str:
    """Return one digest (32 hexadecimal digits) over files and all that they import, by what each use means.

    `closure` tells *which* contents are there; two modules that swap their helpers have the same ones. Each file's
    digest is hashed with those of what it uses, as often as there are files: then every path is in it, in circles too.
    """
    roots = list(files)
    sources = _reached(roots)
    place = {path: at for at, path in enumerate(sources)}
    joined = [(place[path], *map(place.__getitem__, of.reached)) for path, of in sources.items()]
    now = [of.digest for of in sources.values()]
    for _ in sources:
        now = [_hash([now[at] for at in row]) for row in joined]
    return _hash([now[place[_audited(path)]] for path in roots])


def _reached(files: Iterable[Path]) -> dict[Path, _Source]:
    """Return the files and all that they reach, as they are now."""
    found: dict[Path, _Source] = {}
    queue = [_audited(path) for path in files]
    while queue:
        path = queue.pop()
        if path not in found:
            found[path] = _read(path)
            queue.extend(found[path].reached)
    return found


def _hash(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def spell(path: Path) -> str:
    """Name a source file independently of where its home is installed: `shiftbench/rng.py`, `mine/shifts/x.py`."""
    for folder in (Home.package, *plugins.Folders.extra):
        if path.is_relative_to(folder):
            return path.relative_to(folder.parent).as_posix()
    raise PluginError(f"{path} lies neither in the package nor in a folder under `plugins:`")


def locate(name: str) -> Path:
    """Inverse of `spell`."""
    top = name.partition("/")[0]
    for folder in (Home.package, *plugins.Folders.extra):
        if folder.name == top:
            return folder.parent / name
    raise PluginError(f"{name} lies in no folder under `plugins:`")


def digest(path: Path) -> str:
    """Return the digest of one source file or asset (32 hexadecimal digits); see the top of this module.

    Python files are digested over their syntax tree without comments, docstrings, positions and
    empty fields, so that the digest is the same under Python 3.11 to 3.13.

    Raises:
        PluginError: there is no such file.
    """
    if path.suffix == ".py":
        return _read(path).digest
    stat = _stat(path)
    return _bytes(path, stat.st_mtime_ns, stat.st_size)


def stage(name: str) -> Path:
    """Return the source file of a module that makes outputs: a stage, or `inference.onthefly`."""
    home, _, module = name.rpartition(".")
    return PACKAGE / (home or "stages") / f"{module}.py"


def cpu_count() -> int:
    """Return the number of usable CPUs (affinity respected)."""
    return len(os.sched_getaffinity(0))


# ---------------------------------------------------------------------- one file


@dataclass(frozen=True, slots=True)
class _Source:
    """A source file: its digest, and the files that it imports or names as ASSETS, in the order of first use."""

    digest: str
    reached: tuple[Path, ...] = ()


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise PluginError(
            f"{path} is not there, and a plugin reads it (ASSETS); take it back from git, or install the package anew"
        ) from None


def _read(path: Path) -> _Source:
    if path.suffix != ".py":
        return _Source(digest(path))
    stat = _stat(path)
    now = path, stat.st_mtime_ns, stat.st_size
    imported = packages(facts_of(*now))
    homes = tuple(folder for folder in plugins.Folders.extra if folder.name in imported)
    return _parsed(*now, homes)


@functools.cache
def _bytes(path: Path, _mtime: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


@contextlib.contextmanager
def from_sources_alone() -> Iterator[None]:
    """Digest sources, whatever is kept of them."""
    before = Home.keeps
    Home.keeps = False
    facts_of.cache_clear()
    _parsed.cache_clear()
    try:
        yield
    finally:
        Home.keeps = before


@functools.cache
def _parsed(path: Path, mtime: int, size: int, _homes: tuple[Path, ...]) -> _Source:
    """Read a source file; `_homes`: the user's folders that it imports from, and that decide what a name means."""
    facts = facts_of(path, mtime, size)
    imports = _Imports(path, facts)
    meaning = imports.meaning()
    if meaning not in facts.made:
        tokens: list[str] = []
        _write(syntax(path, mtime, size), imports, tokens)
        hasher = hashlib.sha256("".join(f"{token}\0" for token in tokens).encode())
        order = tuple(imports.files.index(file) for file in imports.order)
        facts.made[meaning] = hasher.hexdigest()[:32], order, tuple(imports.assets)
        keep(path, facts)
    digest, order, assets = facts.made[meaning]
    return _Source(digest, imports.reached(order, assets))


class _Imports:
    """The names that a module binds to our own files, and in which order it uses them."""

    def __init__(self, path: Path, facts: Facts) -> None:
        self.path = path
        self.bound: dict[
            str, tuple[Path, str]
        ] = {}  # name here -> file, name there ("" the module itself)
        self.files: list[Path] = []
        self.order: dict[Path, int] = {}
        self.assets: list[str] = []
        self.declares = path.parent.name in DECLARING and not facts.reads_declaration
        self._means: list[object] = [self.declares]
        for module, names in facts.imports:
            tops = [name for name, _ in names] if module is None else [module]
            ours = all(name and _is_home(name) for name in tops)
            self._means.append(ours)
            for name, here in names:
                if module is None:
                    self._bind(_module(name), "", here or name.partition(".")[0])
                elif ours:
                    own = _module(f"{module}.{name}")
                    self._bind(own or _module(module), "" if own else name, here or name)

    def _bind(self, file: Path | None, name: str, here: str) -> None:
        """Note what a name means here; `import a.b` is used as a.b.c, `import a.b as c` as c."""
        if file is not None:
            self.files.append(file)
            self.bound[here] = (file, name)
        self._means.append([-1 if file is None else self.files.index(file), name, here])

    def meaning(self) -> str:
        """Return what all imports mean, however their modules are called and wherever they lie."""
        return _hash([json.dumps(self._means)])

    @staticmethod
    def is_ours(node: ast.AST) -> bool:
        """Tell whether a statement imports files of ours alone."""
        if isinstance(node, ast.ImportFrom):
            return bool(node.module) and not node.level and _is_home(str(node.module))
        return isinstance(node, ast.Import) and all(_is_home(alias.name) for alias in node.names)

    def use(self, name: str) -> str:
        """Return what stands for a use of an imported name, and note that it is used."""
        file, there = self.bound[name]
        return f"import {self.order.setdefault(file, len(self.order))}: {there}"

    def read(self, node: ast.Assign) -> str:
        """Return what stands for the names of assets, and note them."""
        names = ast.literal_eval(node.value)
        self.assets += names
        return f"assets {len(names)}"

    def reached(self, order: Iterable[int], assets: Iterable[str]) -> tuple[Path, ...]:
        """Return what is imported and counts, in the order of first use, then the rest, then the assets."""
        used = [self.files[at] for at in order]
        files = [file for file in dict.fromkeys((*used, *self.files)) if _counts(file)]
        named = (Path(os.path.normpath(self.path.parent / name)) for name in assets)
        return (*files, *named)


_REPLACED = frozenset({ast.Import, ast.ImportFrom, ast.Name, ast.Assign})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_TRIMMED = frozenset({*_DOCUMENTED, ast.JoinedStr})


_FIELDS = {
    kind: tuple(name for name in kind._fields if name not in ("type_comment", "kind", "ctx"))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


def _write(node: object, imports: _Imports, tokens: list[str]) -> None:
    """Add the tokens of a node, of a list of nodes or of a value.

    Every plan and every job digests sources, so this is written for speed: no generators, one look per node's type.
    """
    if isinstance(node, ast.AST):
        instead = _instead(node, imports) if type(node) in _REPLACED else None
        if instead is None:
            _write_fields(node, imports, tokens)
        else:
            tokens += instead
    elif isinstance(node, list):
        for item in node:
            _write(item, imports, tokens)
    else:
        tokens.append(f"{type(node).__name__}:{node!r}")


def _write_fields(node: ast.AST, imports: _Imports, tokens: list[str]) -> None:
    kind = type(node)
    tokens.append(f"({kind.__name__}")
    for field in _FIELDS[kind]:
        value = getattr(node, field, None)
        if kind in _TRIMMED:
            value = _significant(node, field, value)
        if value is not None and value != []:
            tokens.append(field)
            _write(value, imports, tokens)
    tokens.append(")")


def _instead(node: ast.AST, imports: _Imports) -> list[str] | None:
    """Return the tokens that stand for a node, none or one; None where its fields are written."""
    if imports.is_ours(node) or (imports.declares and _is_declaration(node)):
        return []
    if isinstance(node, ast.Name) and node.id in imports.bound:
        return [imports.use(node.id)]
    if isinstance(node, ast.Assign) and _is_assets(node):
        return [imports.read(node)]
    return None


def _is_assets(node: ast.Assign) -> bool:
    return "ASSETS" in _names(node)


def _is_declaration(node: ast.AST) -> bool:
    """Tell whether a statement only says of which tasks a plugin is."""
    if not isinstance(node, ast.Assign) or _names(node) != [DECLARATION]:
        return False
    return isinstance(node.value, ast.Tuple) and all(map(_is_constant, node.value.elts))


def _is_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant)


def _names(node: ast.Assign) -> list[str]:
    return [one.id for one in node.targets if isinstance(one, ast.Name)]


def _significant(node: ast.AST, field: str, value: object) -> object:
    """Drop a docstring, and the empty pieces that Python 3.12 alone leaves in f-strings."""
    if not isinstance(value, list) or not value:
        return value
    if isinstance(node, ast.JoinedStr):
        return [part for part in value if not (isinstance(part, ast.Constant) and not part.value)]
    if isinstance(node, _DOCUMENTED) and field == "body" and _is_text(value[0]):
        return value[1:]
    return value


def _is_text(node: ast.AST) -> bool:
    constant = node.value if isinstance(node, ast.Expr) else None
    return isinstance(constant, ast.Constant) and isinstance(constant.value, str)


# ---------------------------------------------------------------------- names of modules


def _home(package: str) -> Path | None:
    folders = (
        folder for folder in (Home.package, *plugins.Folders.extra) if folder.name == package
    )
    return next(folders, None)


def _is_home(module: str) -> bool:
    return _home(module.partition(".")[0]) is not None


def _module(name: str) -> Path | None:
    """Return the file of a module of ours by its dotted name."""
    top, _, rest = name.partition(".")
    home = _home(top)
    if home is None:
        return None
    path = home.joinpath(*rest.split(".")) if rest else home
    files = path.with_suffix(".py") if rest else home, path / "__init__.py"
    return next((file for file in files if file.is_file()), None)


@functools.cache
def _counts(file: Path) -> bool:
    """Tell whether a module can change a byte of an output."""
    if not file.is_relative_to(Home.package):
        return True
    name = ".".join(file.relative_to(Home.package).with_suffix("").parts)
    return not any(f"{name}.".startswith(f"{one}.") for one in NOT_COUNTED)
