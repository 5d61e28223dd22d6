"""Code digests: which definitions decide an output, however they are called and wherever they are written.

A job begins at its stage and its plugins. It reaches what these use, what that uses, and so on (`definitions.py`). The
definitions are numbered in the order in which they are reached. The digest of a job, `linked`, covers the meaning of
each definition and the numbers of those that it uses. So names and places of definitions are no part of it, and each
change of meaning or of use is. Statements at the top of modules that do more than define count where an import runs
them.

Only Python source of the package and of plugin folders is read. Installed packages are known by the environment.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.base.registry.declared import Location
from shiftbench.base.registry.entries import FILE
from shiftbench.provenance import definitions, import_effects
from shiftbench.provenance.definitions import Definition, Text
from shiftbench.provenance.source_facts import DECLARATION, DECLARING, TITLE, Home, text_of

PACKAGE = registry.PACKAGE
_SHOWN = 8
"""Hexadecimal digits of a definition in a recipe; `linked` has all of them."""

NOT_COUNTED = (
    "__init__ base.files base.library_imports base.progress base.registry "
    "audit cli provenance release workflow.engine workflow.plan workflow.storage workflow.tools "
    "data.pins data.places data.row_digests evaluation.batch_sensitivity evaluation.devices plugins.declare "
    "workflow.stages.verbs"
).split()
"""What decides which jobs run, where, and how they are told, never the bytes of an output: modules and packages."""


GIVEN = (("base.refs", "Ref"),)
"""Classes that count and whose instances a stage gets from what does not: every job reaches them."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code that decides an output.

    Attributes:
        roots: files and functions that it begins at: a stage's and plugins', as `spell_root` names them.
        table: {file: {definition: digest}}, and {asset: digest}, for readers.
        linked: one digest of all, without names and places (32 hexadecimal digits).
        files: what is read of it: all that is imported, and the assets.
    """

    roots: tuple[str, ...]
    table: dict[str, dict[str, str] | str]
    linked: str
    files: frozenset[Path]

    def recipe(self) -> dict[str, Any]:
        """Return what a recipe has of it."""
        return {"roots": list(self.roots), "code": self.table, "linked": self.linked}


def of(roots: Iterable[Path | Location]) -> Code:
    """Code of jobs that begin at some files, or at functions in files.

    Raises:
        PluginError: a file, or an asset that one names, is not there.
    """
    whole = (Location(one) if isinstance(one, Path) else one for one in roots)
    located = tuple(Location(_audited(one.file), one.name) for one in whole)
    with _ONE_AT_A_TIME:
        return _linker().code(located)


def named(code: Mapping[str, Mapping[str, str] | str]) -> Iterator[tuple[str, str]]:
    """Yield a table's definitions, such as `shiftbench/plugins/shifts/fog.py: shares`, with their digests."""
    for file, known in code.items():
        if isinstance(known, str):
            yield file, known
        else:
            yield from ((f"{file}: {name}", digest) for name, digest in known.items())


def digests(code: Mapping[str, Mapping[str, str] | str]) -> list[str]:
    """Digests of a table, without names."""
    tables = [[known] if isinstance(known, str) else known.values() for known in code.values()]
    return [digest for table in tables for digest in table]


def files_of(recipes: Iterable[Mapping[str, Any]]) -> list[Path]:
    """The source files and assets that jobs with some recipes read, sorted.

    Raises:
        PluginError: one is not there.
    """
    roots = {tuple(one.get("roots", ())) for one in recipes}
    found = (of(map(locate_root, names)).files for names in roots if names)
    return sorted(frozenset().union(*found))


def changed(recipe: Mapping[str, Any]) -> list[str]:
    """Definitions that are not as a recipe says, by name; where only their use differs, the files.

    Raises:
        PluginError: a file is not there any more.
    """
    if not recipe.get("roots"):
        return []
    now = of(map(locate_root, recipe["roots"])).recipe()
    return [line.rpartition(" ")[0] for line in told(recipe, now)]


def told(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Definitions that differ in two recipes, such as `shiftbench/plugins/shifts/fog.py: shares changed`."""
    if all(old.get(key) == new.get(key) for key in ("linked", "code")):
        return []
    if ("roots" in old) != ("roots" in new):
        return [OTHERWISE]
    before, now = dict(named(old.get("code", {}))), dict(named(new.get("code", {})))
    gone, come = before.keys() - now.keys(), now.keys() - before.keys()
    moved = {before[name] for name in gone} & {now[name] for name in come}
    lines = [
        *(f"{name} changed" for name in before.keys() & now.keys() if before[name] != now[name]),
        *(f"{name} added" for name in come if now[name] not in moved),
        *(f"{name} gone" for name in gone if before[name] not in moved),
    ]
    if lines or old.get("linked") == new.get("linked"):
        return sorted(lines)
    return [f"{name} linked otherwise" for name in new.get("roots", ())]


OTHERWISE = "code was digested by file, not by definition, when one of the two was made"
"""What is said of recipes that are older than digests of definitions."""


@dataclass(frozen=True, slots=True)
class Span:
    """A definition in its file.

    Attributes:
        file: as `spell` names it.
        name: as `named` spells it.
        lines: first and last line of each statement.
        is_quiet: whether its code may run while its module is imported, for a job that does not reach it.
    """

    file: str
    name: str
    lines: tuple[tuple[int, int], ...]
    is_quiet: bool

    def has(self, line: int) -> bool:
        """Tell whether a line belongs to it."""
        return any(first <= line <= last for first, last in self.lines)


def definitions_of(paths: Iterable[Path]) -> dict[Path, list[Span]]:
    """Definitions of files; none of one that cannot change a byte of an output, or is no Python."""
    with _ONE_AT_A_TIME:
        linker = _linker()
        files = {path: linker.file(_audited(path)) for path in paths if path.suffix == ".py"}
        return {path: linker.spans(file) if file.counts else [] for path, file in files.items()}


def _audited(path: Path) -> Path:
    """Return where a source file of this installation lies in the package whose sources are digested."""
    return Home.package / path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path


def spell(path: Path) -> str:
    """Name a source file independently of where its home is installed: `shiftbench/base/rng.py`, `mine/shifts/x.py`."""
    for folder in (Home.package, *registry.Folders.extra):
        if path.is_relative_to(folder):
            return path.relative_to(folder.parent).as_posix()
    raise PluginError(f"{path} lies neither in the package nor in a folder under `plugins:`")


def locate(name: str) -> Path:
    """Inverse of `spell`."""
    top = name.partition("/")[0]
    for folder in (Home.package, *registry.Folders.extra):
        if folder.name == top:
            return folder.parent / name
    raise PluginError(f"{name} lies in no folder under `plugins:`")


def spell_root(root: Location) -> str:
    """Name where a job's code begins: `shiftbench/plugins/shifts/fog.py`, or with a function, `...py:auroc`."""
    return f"{spell(root.file)}:{root.name}" if root.name else spell(root.file)


def locate_root(name: str) -> Location:
    """Inverse of `spell_root`."""
    file, _, function = name.partition(":")
    return Location(locate(file), function)


def digest(path: Path) -> str:
    """Digest of one source file with all its definitions and names, or of an asset's bytes.

    Raises:
        PluginError: there is no such file.
    """
    stat = _stat(path)
    if path.suffix != ".py":
        return _bytes(path, stat.st_mtime_ns, stat.st_size)
    text = text_of(path, stat.st_mtime_ns, stat.st_size)
    parts = [repr((sorted(text.aliases.items()), text.imports, text.stars, text.assets))]
    parts += [repr((one.names, one.meaning, one.uses)) for one in text.definitions]
    return definitions.digest(parts)


@functools.cache
def stage(name: str) -> Path:
    """Source file of a module that makes outputs: a stage, or `evaluation.onthefly`."""
    home, _, module = name.rpartition(".")
    return PACKAGE / (home or "workflow/stages") / f"{module}.py"


def cpu_count() -> int:
    """Number of usable CPUs (affinity respected)."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def from_sources_alone() -> Iterator[None]:
    """Digest sources, whatever is kept of them."""
    before = Home.keeps
    Home.keeps = False
    forget()
    try:
        yield
    finally:
        Home.keeps = before


def forget() -> None:
    """Read all sources again when they are asked for."""
    text_of.cache_clear()
    _Kept.linker = None


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except FileNotFoundError:
        raise PluginError(
            f"{path} is not there, and a plugin reads it (ASSETS); take it back from git, or install the package anew"
        ) from None


@functools.cache
def _bytes(path: Path, _mtime: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


# ---------------------------------------------------------------------- files and their definitions


class File:
    """A source file of ours.

    Attributes:
        path: where it is.
        name: the same, independent of where its home is.
        place: dotted name within its home.
        text: what it says.
        nodes: its definitions.
        counts: whether it can change a byte of an output.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home
        inner = path.relative_to(home).with_suffix("").parts
        self.name = spell(path)
        self.place = ".".join(inner[:-1] if inner[-1] == "__init__" else inner)
        self.package = ".".join((home.name, *inner[:-1]))
        self.counts = counts(path)
        stat = _stat(path)
        self.text: Text = text_of(path, stat.st_mtime_ns, stat.st_size)
        self.nodes = [Node(self, one) for one in self.text.definitions]
        self.by_name = {name: node for node in self.nodes for name in node.names}
        self.whole = Node(self, None)
        self.interface = Node(self, None)

    @functools.cached_property
    def used(self) -> frozenset[str]:
        """The names of imports that its definitions use."""
        targets = {use for node in self.nodes for use in node.definition.uses}
        return frozenset(
            name
            for name, dotted in self.text.aliases.items()
            if any(use == dotted or use.startswith(f"{dotted}.") for use in targets)
        )

    def label(self, node: Node) -> str:
        """Return what people call a definition of this file."""
        if node.names:
            return ", ".join(node.names)
        others = [one for one in self.nodes if not one.names]
        return f"statement {others.index(node) + 1}"


class Node:
    """A definition, all of a module, or what a module offers: what it means and what it uses.

    Attributes:
        meaning: digest of it, with what each reference is but not where it leads.
        targets: what the references lead to; None: a reference to nothing of ours.
        notes: what its annotations lead to.
        lazy: files that it imports when it runs.
        reads: what it reads of others that else only tells: names and annotations (0), docstrings (1), sources (2).
    """

    __slots__ = ("definition", "file", "lazy", "linked", "meaning", "notes", "reads", "targets")

    def __init__(self, file: File, definition: Definition | None) -> None:
        self.file = file
        self.definition = definition or NOTHING
        self.linked = False
        self.meaning = ""
        self.targets: list[Node] = []
        self.notes: list[Node] = []
        self.lazy: list[File] = []
        traits = self.definition.traits
        self.reads = {at for at, name in enumerate(_READING) if name in traits}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it binds."""
        return self.definition.names

    def shown(self, told: Sequence[int]) -> str:
        """Its digest, with what only tells where something reads it."""
        if not told:
            return self.meaning
        return definitions.digest([self.meaning, *(self.definition.told[at] for at in told if at < 2)])


_READING = ("reflects", "documents", "sources")
NOTHING = Definition((), "", ("", ""), (), (), (), (), (), frozenset(), ())
"""What a node defines that stands for a module."""


def counts(file: Path) -> bool:
    """Tell whether a module can change a byte of an output."""
    if not file.is_relative_to(Home.package):
        return True
    name = ".".join(file.relative_to(Home.package).with_suffix("").parts)
    return not any(f"{name}.".startswith(f"{one}.") for one in NOT_COUNTED)


# ---------------------------------------------------------------------- what leads where


_ONE_AT_A_TIME = threading.RLock()


class _Kept:
    """The linker of this process, as long as no source that it read has changed."""

    linker: _Linker | None = None


def _linker() -> _Linker:
    homes = (Home.package, *registry.Folders.extra)
    kept = _Kept.linker
    if kept is None or kept.homes != homes or not kept.is_current():
        kept = _Kept.linker = _Linker(homes)
    return kept


def _mark(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - hundreds of files are looked at for each plan
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


class _Linker:
    """Finds what references lead to."""

    def __init__(self, homes: tuple[Path, ...]) -> None:
        self.homes = homes
        self._tops = {home.name: home for home in reversed(homes)}
        self._files: dict[Path, File] = {}
        self._modules: dict[str, File | None] = {}
        self._marks: dict[str, tuple[int, int] | None] = {}
        self._done: dict[tuple[Location, ...], Code] = {}
        self._imports: dict[Path, tuple[File, ...]] = {}
        self._acts: dict[File, list[Node]] = {}
        self._spans: dict[File, list[Span]] = {}
        self._touches: dict[Node, set[Node | str]] = {}

    def is_current(self) -> bool:
        """Tell whether all files and folders that were looked at are as they were."""
        return all(_mark(path) == mark for path, mark in self._marks.items())

    def file(self, path: Path) -> File:
        """A file of ours.

        Raises:
            PluginError: it is in no home, or not there.
        """
        if path not in self._files:
            spell(path)
            home = next(one for one in self.homes if path.is_relative_to(one))
            self._marks[str(path)] = _mark(str(path))
            self._files[path] = File(path, home)
        return self._files[path]

    def module(self, dotted: str) -> File | None:
        """File of a module of ours by its name."""
        if dotted not in self._modules:
            top, _, rest = dotted.partition(".")
            home = self._tops.get(top)
            self._modules[dotted] = None if home is None else self._look(home, rest)
        return self._modules[dotted]

    def _look(self, home: Path, rest: str) -> File | None:
        path = home.joinpath(*rest.split(".")) if rest else home
        folder = str(path.parent)
        self._marks.setdefault(folder, _mark(folder))
        files = (path / "__init__.py", *([path.with_suffix(".py")] if rest else []))
        found = next((file for file in files if file.is_file()), None)
        return None if found is None else self.file(found)

    def imported(self, dotted: str) -> list[File]:
        """Files that an import of a module, or of something in one, runs."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return []
        names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return [file for name in names if (file := self.module(name)) and file.counts]

    def imports(self, file: File) -> tuple[File, ...]:
        """Files that importing one runs, itself included, each after those that it imports."""
        if file.path not in self._imports:
            begun, found = {file}, dict[File, None]()
            stack = [(file, iter(self._imported_by(file)))]
            while stack:
                one, rest = stack[-1]
                new = next((other for other in rest if other not in begun), None)
                if new is None:
                    found[one] = None
                    stack.pop()
                else:
                    begun.add(new)
                    stack.append((new, iter(self._imported_by(new))))
            self._imports[file.path] = tuple(found)
        return self._imports[file.path]

    def _imported_by(self, file: File) -> list[File]:
        own = f"{file.home.name}.{file.place}" if file.place else file.home.name
        names = (own, *file.text.imports, *file.text.stars)
        return [other for dotted in names for other in self.imported(dotted)]

    # ------------------------------------------------------------------ nodes

    def link(self, node: Node) -> Node:
        """Find what a node uses."""
        if not node.linked:
            node.linked = True
            if node is node.file.whole:
                title = {TITLE} if self._is_declared(node.file, TITLE) else set()
                self._link_names(node, sorted({*node.file.by_name, *node.file.text.aliases} - title))
                node.targets += [one for one in node.file.nodes if not one.names]
                node.targets += self._below(node.file)
            elif node is node.file.interface:
                self._link_names(node, self._offered(node.file))
            else:
                self._link_uses(node)
            self._link_stars(node)
        return node

    def _link_stars(self, node: Node) -> None:
        """Add what `from ... import *` may bring to a file: what any of its names means is not known."""
        stars = node.file.text.stars
        if stars:
            node.meaning = definitions.digest([node.meaning, "stars", *stars])
            node.targets += [file.whole for one in stars if (file := self.module(one)) and file.counts]

    def _below(self, file: File) -> list[Node]:
        """Modules in a package."""
        return self._in_folder(file.path.parent) if file.path.name == "__init__.py" else []

    def _in_folder(self, folder: Path) -> list[Node]:
        """All modules below a folder."""
        self._marks.setdefault(str(folder), _mark(str(folder)))
        found: list[Node] = []
        for path in sorted(folder.iterdir()):
            if path.suffix == ".py" and counts(path):
                found.append(self.file(path).whole)
            elif path.name.isidentifier() and path.name != "__pycache__" and path.is_dir():
                found += self._in_folder(path)
        return found

    def _link_names(self, node: Node, names: list[str]) -> None:
        found = [(name, *self._within(node.file, [name])) for name in names]
        parts = [f"{name} {token}" for name, token, _ in found]
        node.meaning = definitions.digest(["names", *parts])
        node.targets = [target for _, _, target in found if target is not None]

    def _offered(self, file: File) -> list[str]:
        """Public names of a file, and what it imports for others."""
        read = any(f".{DECLARATION}" in node.definition.uses for node in file.nodes)
        declares = file.path.parent.name in DECLARING and not read
        declarations = (TITLE, DECLARATION) if declares else (TITLE,)
        unused = {"ASSETS", *(name for name in declarations if self._is_declared(file, name))}
        names = [name for name in file.by_name if _is_public(name) and name not in unused]
        for name, dotted in file.text.aliases.items():
            if _is_public(name) and name not in file.used and dotted in file.text.imports:
                _, target = self._absolute(dotted)
                names += [name] if target is not None and target.definition is not NOTHING else []
        return sorted(names)

    def _is_declared(self, file: File, name: str) -> bool:
        """Whether a constant is written as it is: one name, whose value uses and calls nothing."""
        node = file.by_name.get(name)
        return node is not None and node.names == (name,) and "plain" in node.definition.traits

    def _link_uses(self, node: Node) -> None:
        own, parts = node.definition, [node.definition.meaning]
        node.notes = [one for use in own.notes if (one := self._used(node.file, use)[1])]
        node.lazy = [file for dotted in own.lazy for file in self.imported(dotted)]
        for use in own.uses:
            token, target = self._used(node.file, use)
            kind, _, chain = token.partition(" ")
            parts.append(token)
            if kind == "missing":  # a package may have no `__init__.py`
                node.targets += self._namespace(chain)
            if target is not None:
                node.targets.append(target)
                node.reads |= {0} if definitions.REFLECTING & set(chain.split(".")) else set()
        if "placed" in own.traits:
            parts.append(f"in {node.file.place}")
        for text in own.strings:
            self._link_text(node, text, parts)
        if "opaque" in own.traits:
            is_packaged = node.file.home == self.homes[0]
            whole = [node.file.whole]
            node.targets += whole if is_packaged else self._in_folder(node.file.home)
        node.meaning = definitions.digest(parts)

    def _link_text(self, node: Node, text: str, parts: list[str]) -> None:
        """Add what a text may name: a file of ours, a plugin, a module or a package."""
        if text.endswith(".py"):
            path = Path(os.path.normpath(node.file.path.parent / text))
            self._marks[str(path)] = _mark(str(path))
            node.targets += [self.file(path).whole] if self._is_ours(path) else []
        elif "/" in text:
            node.targets += self._asked(text, node.file, parts)
        else:
            node.targets += [file.whole for file in self._told_of(text)]

    def _asked(self, text: str, file: File, parts: list[str]) -> list[Node]:
        """Plugin that a definition asks for.

        Where the name is computed, `uses` says which it is, else all of the family are meant.
        """
        family, _, name = text.partition("/")
        if name:
            return [self._plugin(text, parts)]
        says = "uses" in file.by_name or "uses" in file.text.aliases
        if says or file.path.parent.name not in registry.FAMILIES:
            return []
        return [self._plugin(f"{family}/{one}", parts) for one in registry.names(family)]

    def _plugin(self, text: str, parts: list[str]) -> Node:
        """Return what a plugin offers, and add the options of a variant to what counts."""
        family, name = text.split("/")
        found = registry.variant(family, name)
        if found is not None:
            self._marks[str(found.home / FILE)] = _mark(str(found.home / FILE))
            parts.append(repr(sorted(found.options.items())))
        location = registry.locate(family, name)
        return self._root(Location(_audited(location.file), location.name))

    def _root(self, root: Location) -> Node:
        """Return what a job begins at: a function that is a plugin, or what a file offers.

        Raises:
            PluginError: the file has no such function.
        """
        file = self.file(root.file)
        if not root.name:
            return file.interface
        if root.name not in file.by_name:
            raise PluginError(f"{file.name} has no {root.name}; a plugin of that name was there")
        return file.by_name[root.name]

    def _told_of(self, text: str) -> list[File]:
        """Modules that a text names: one, or all of a package whose name it begins with."""
        if text.partition(".")[0] not in self._tops:
            return []
        if not text.endswith("."):
            found = self.module(text)
            return [found] if found and found.counts else []
        return [node.file for node in self._namespace(text[:-1])]

    def _namespace(self, dotted: str) -> list[Node]:
        """Modules in a package, which may have no `__init__.py`; none: it is no package."""
        top, *rest = dotted.split(".")
        home = self._tops.get(top)
        folder = None if home is None else home.joinpath(*rest)
        return self._in_folder(folder) if folder and folder.is_dir() else []

    def _is_namespace(self, parts: list[str]) -> bool:
        """Tell whether a name is that of a folder of ours without `__init__.py`, which is a package, too."""
        return self._tops[parts[0]].joinpath(*parts[1:]).is_dir()

    def _is_ours(self, path: Path) -> bool:
        inside = any(path.is_relative_to(home) for home in self.homes)
        return inside and path.is_file() and counts(path)

    def _used(self, file: File, use: str) -> tuple[str, Node | None]:
        if use.startswith("."):
            return self._within(file, use[1:].split("."))
        if use.startswith("*"):
            return f"star {use[1:]}", None
        return self._absolute(use)

    def _absolute(self, dotted: str, depth: int = 0) -> tuple[str, Node | None]:
        """Return what stands for a name of a module, and the definition behind it, if it is ours and counts."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return f"library {dotted}", None
        file, rest = None, parts
        for end in range(1, len(parts) + 1):
            found = self.module(".".join(parts[:end]))
            if found is None and self._is_namespace(parts[:end]):
                continue
            if file and (found is None or self._hides(file, parts[end - 1], found)):
                break
            if found:
                file, rest = found, parts[end:]
        if file is None:
            return f"missing {dotted}", None
        if not file.counts:
            return f"beyond {'.'.join(rest) or file.path.stem}", None
        return self._within(file, rest, depth)

    def _hides(self, package: File, name: str, module: File) -> bool:
        """Tell whether a package gives another meaning to the name of a module in it."""
        alias = package.text.aliases.get(name)
        return name in package.by_name or (alias is not None and self.module(alias) is not module)

    def _within(self, file: File, rest: list[str], depth: int = 0) -> tuple[str, Node | None]:
        if not rest:
            return "module", file.whole
        name, *attributes = rest
        if file.text.stars and name not in file.by_name:
            return f"star {'.'.join(rest)}", file.whole
        chain = ".".join(attributes)
        node = file.by_name.get(name)
        if node is not None:
            at = node.names.index(name) if len(node.names) > 1 else ""
            return f"ours{at} {chain}", node
        if name in file.text.aliases and depth < _DEEPEST:
            return self._absolute(".".join([file.text.aliases[name], *attributes]), depth + 1)
        if name == "__name__":
            return f"named {file.place}", None
        return f"module .{'.'.join(rest)}", file.whole

    # ------------------------------------------------------------------ what importing a file does

    def acts(self, file: File) -> list[Node]:
        """Return what importing a file does beside giving names to things."""
        if file not in self._acts:
            found = [node for node in file.nodes if "main" not in node.definition.traits]
            self._acts[file] = [node for node in found if self._is_loud(node)]
        return self._acts[file]

    def _is_loud(self, node: Node) -> bool:
        if "acts" in node.definition.traits:
            return True
        return not all(self._is_quiet(node.file, call) for call in node.definition.calls)

    def _is_quiet(self, file: File, call: str) -> bool:
        """Tell whether calling something while a module is imported changes nothing else."""
        if call.startswith("&") or call.lstrip("@<")[:1] in "?~":
            return import_effects.is_pure(call)
        token, target = self._used(file, call.lstrip("@<"))
        kind, _, chain = token.partition(" ")
        if target is None:
            return call.startswith("<") or kind in ("beyond", "named") or import_effects.is_pure(call)
        traits = target.definition.traits
        if call.startswith("<"):
            more = (one for one in target.definition.calls if one.startswith("<"))
            return "plain base" in traits and all(self._is_quiet(target.file, one) for one in more)
        return not chain and ("quiet" in traits or (call.startswith("@") and "value" in traits))

    def spans(self, file: File) -> list[Span]:
        """Return where the definitions of a file are."""
        if file not in self._spans:
            acts, name = set(self.acts(file)), file.name
            self._spans[file] = [
                Span(
                    name,
                    f"{name}: {file.label(node)}",
                    node.definition.lines,
                    "quiet" in node.definition.traits or ("value" in node.definition.traits and node not in acts),
                )
                for node in file.nodes
            ]
        return self._spans[file]

    # ------------------------------------------------------------------ a job

    def code(self, roots: tuple[Location, ...]) -> Code:
        """Code of jobs that begin at some files or functions."""
        if roots not in self._done:
            self._done[roots] = self._code(roots)
        return self._done[roots]

    def _code(self, roots: tuple[Location, ...], *, noted: bool = False) -> Code:
        begin = [*map(self._root, roots), *self._given(roots)]
        main = self._walk(begin, {}, noted=noted)
        nodes, files = dict(main), dict[File, None]()
        walks: dict[File, dict[Node, int]] = {}
        queue: list[File | Node] = [*(self.file(root.file) for root in roots), *nodes]
        for one in queue:  # which grows meanwhile
            for first in (one,) if isinstance(one, File) else (one.file, *one.lazy):
                for file in self.imports(first):
                    if file in files:
                        continue
                    files[file] = None
                    acts = [act for act in self.acts(file) if act not in main]
                    walk = walks[file] = self._walk(acts, main, noted=noted)
                    queue += [new for new in walk if new not in nodes]
                    nodes.update(walk)
        told = sorted({at for node in nodes for at in node.reads})
        if 0 in told and not noted:
            return self._code(roots, noted=True)
        rows = [_row(node, main, {}, told, noted=noted) for node in main]
        others = self._effects(walks, main, told, noted=noted)
        told_of_files = sorted({node.file.text.told[at] for node in nodes for at in told})
        assets = self._assets(nodes)
        beside = [f"{_in_home(path, self.homes)} {known}" for path, known in assets.items()]
        linked = definitions.digest(
            [*rows, "acts", *sorted(others), "assets", *sorted(beside), "files", *told_of_files]
        )
        table = _table(nodes, told)
        table |= {spell(path): known for path, known in assets.items()}
        read = frozenset((*(file.path for file in files), *assets))
        return Code(tuple(map(spell_root, roots)), dict(sorted(table.items())), linked, read)

    def _effects(
        self, walks: dict[File, dict[Node, int]], main: dict[Node, int], told: Sequence[int], *, noted: bool
    ) -> set[str]:
        """A digest of what importing each file does, in the order of its text.

        Files whose effects share a variable, or a library, are in the order in which they are imported.
        """
        found: list[tuple[str, set[Node | str]]] = []
        shared = {one for file in walks for act in self.acts(file) for one in self._changed(act)}
        for file, walk in walks.items() if shared else ():
            ours = [one for one in file.nodes if one in main or one in walk]
            timed = {one: touched for one in ours if (touched := self._touched(one) & shared)}
            if timed:
                lines = [(at, one) for one in timed for at, _ in one.definition.lines]
                order = [_number(one, main, walk) for _, one in sorted(lines, key=itemgetter(0))]
                rows = [_row(node, main, walk, told, noted=noted) for node in walk]
                touched = set().union(*timed.values())
                found.append((definitions.digest([*rows, "order", *order]), touched))
        return {
            definitions.digest([own, *(other for other, theirs in found[:at] if theirs & touched)])
            for at, (own, touched) in enumerate(found)
        }

    def _changed(self, act: Node) -> set[Node | str]:
        """Variables and libraries that a statement may change."""
        reached = self._walk([act], {}, noted=False)
        if any("stores" in one.definition.traits for one in reached):
            return self._touched(act)
        return self._touched(act) - {one for one in reached if "plain" in one.definition.traits}

    def _touched(self, node: Node) -> set[Node | str]:
        """Variables and libraries on which it depends what a definition does when it is imported."""
        if node not in self._touches:
            begin, libraries = [node], set[str]()
            if self._is_loud(node):
                uses = (one for one in node.definition.uses if not one.startswith((".", "*")))
                libraries = {one.partition(".")[0] for one in uses if not import_effects.is_pure(one)}
            else:
                read = (one[1:] for one in node.definition.calls if one.startswith("&"))
                used = (self._used(node.file, one)[1] for one in read)
                begin = [one for one in used if one is not None]
            reached = {one for one in self._walk(begin, {}, noted=False) if _is_variable(one)}
            own = {node} if self._is_loud(node) else set()
            self._touches[node] = {*own, *reached, *libraries}
        return self._touches[node]

    def _given(self, roots: tuple[Location, ...]) -> list[Node]:
        """Return what each job of ours reaches."""
        files = [(self.module(f"{self.homes[0].name}.{place}"), name) for place, name in GIVEN]
        return [file.by_name[name] for file, name in files if roots and file and name in file.by_name]

    def _walk(self, begin: list[Node], known: dict[Node, int], *, noted: bool) -> dict[Node, int]:
        """Return what is reached and not known, numbered in the order in which it is.

        Args:
            begin: where the walk begins.
            known: what was reached before.
            noted: whether annotations lead on.
        """
        found = {node: at for at, node in enumerate(dict.fromkeys(begin))}
        queue = list(found)
        for node in queue:  # which grows meanwhile
            for target in _targets(self.link(node), noted=noted):
                if target not in found and target not in known:
                    found[target] = len(found)
                    queue.append(target)
        return found

    def _assets(self, nodes: Iterable[Node]) -> dict[Path, str]:
        files = dict.fromkeys(node.file for node in nodes)
        found = {}
        for file in files:
            for name in file.text.assets:
                path = Path(os.path.normpath(file.path.parent / name))
                stat = _stat(path)
                self._marks[str(path)] = stat.st_mtime_ns, stat.st_size
                found[path] = _bytes(path, stat.st_mtime_ns, stat.st_size)
        return found


_DEEPEST = 20
"""Imports through which a name may come to a module."""


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name.startswith("__")


def _row(node: Node, main: dict[Node, int], walk: dict[Node, int], told: Sequence[int], *, noted: bool) -> str:
    """Return what a node means, and the numbers of what it uses."""
    numbers = [_number(one, main, walk) for one in _targets(node, noted=noted)]
    return " ".join([node.shown(told), *numbers])


def _targets(node: Node, *, noted: bool) -> list[Node]:
    return [*node.targets, *node.notes] if noted else node.targets


def _number(node: Node, main: dict[Node, int], walk: dict[Node, int]) -> str:
    return f"{main[node]}" if node in main else f"act {walk[node]}"


def _is_variable(node: Node) -> bool:
    """Tell whether a definition may have a value that changes."""
    return not node.definition.traits.isdisjoint(("value", "acts"))


def _table(nodes: Iterable[Node], told: Sequence[int]) -> dict[str, dict[str, str] | str]:
    found: dict[str, dict[str, str]] = {}
    for node in nodes:
        known = found.setdefault(node.file.name, {})
        if node.definition is not NOTHING:
            known[node.file.label(node)] = node.shown(told)[:_SHOWN]
    return {file: dict(sorted(known.items())) for file, known in found.items()}


def _in_home(path: Path, homes: Iterable[Path]) -> str:
    home = next(one for one in homes if path.is_relative_to(one))
    return path.relative_to(home).as_posix()
