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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftbench import plugins
from shiftbench.errors import PluginError
from shiftbench.plugins.entries import FILE
from shiftbench.provenance import definitions
from shiftbench.provenance.definitions import Definition, Text
from shiftbench.provenance.source_facts import DECLARATION, DECLARING, Home, text_of

PACKAGE = plugins.PACKAGE
_SHOWN = 8
"""Hexadecimal digits of a definition in a recipe; `linked` has all of them."""

NOT_COUNTED = (
    "__init__ entries errors files library_imports plugins progress "
    "audit cli documents engine plan provenance release storage tools "
    "data.dataset_card data.pins data.places data.row_digests inference.batch_sensitivity inference.devices "
    "stages.verbs"
).split()
"""What decides which jobs run, where, and how they are told, never the bytes of an output: modules and packages."""


GIVEN = (("refs", "Ref"),)
"""Classes that count and whose instances a stage gets from what does not: every job reaches them."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code that decides an output.

    Attributes:
        roots: files that it begins at: a stage's and plugins'.
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


def of(files: Iterable[Path]) -> Code:
    """Return the code of jobs that begin at some files.

    Raises:
        PluginError: a file, or an asset that one names, is not there.
    """
    roots = tuple(_audited(path) for path in files)
    return _linker().code(roots)


def named(code: Mapping[str, Mapping[str, str] | str]) -> Iterator[tuple[str, str]]:
    """Yield the definitions of a table with their digests, as people read them: `shiftbench/shifts/fog.py: shares`."""
    for file, known in code.items():
        if isinstance(known, str):
            yield file, known
        else:
            yield from ((f"{file}: {name}", digest) for name, digest in known.items())


def files_of(recipes: Iterable[Mapping[str, Any]]) -> list[Path]:
    """Return the source files and assets that jobs with some recipes read, sorted.

    Raises:
        PluginError: one is not there.
    """
    roots = {tuple(one.get("roots", ())) for one in recipes}
    found = (of(map(locate, names)).files for names in roots if names)
    return sorted(frozenset().union(*found))


def changed(recipe: Mapping[str, Any]) -> list[str]:
    """Return the definitions that are not as a recipe says, by name; where only their use differs, the files.

    Raises:
        PluginError: a file is not there any more.
    """
    if not recipe.get("roots"):
        return []
    now = of(map(locate, recipe["roots"])).recipe()
    return [line.rpartition(" ")[0] for line in told(recipe, now)]


def told(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return in which definitions the code of two recipes differs, as `shiftbench/shifts/fog.py: shares changed`."""
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


def definitions_of(path: Path) -> list[Span]:
    """Return the definitions of a file; none of one that cannot change a byte of an output, or is no Python."""
    if path.suffix != ".py":
        return []
    file = _linker().file(_audited(path))
    if not file.counts:
        return []
    return _linker().spans(file)


def _audited(path: Path) -> Path:
    """Return where a source file of this installation lies in the package whose sources are digested."""
    return Home.package / path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path


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
    """Return the digest of one source file with all its definitions and names, or of an asset's bytes.

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


def stage(name: str) -> Path:
    """Return the source file of a module that makes outputs: a stage, or `inference.onthefly`."""
    home, _, module = name.rpartition(".")
    return PACKAGE / (home or "stages") / f"{module}.py"


def cpu_count() -> int:
    """Return the number of usable CPUs (affinity respected)."""
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
        place: dotted name within its home.
        text: what it says.
        nodes: its definitions.
        counts: whether it can change a byte of an output.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home
        inner = path.relative_to(home).with_suffix("").parts
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
        lazy: files that it imports when it runs.
        reads: what it reads of others that else only tells: names and annotations (0), docstrings (1).
    """

    __slots__ = ("definition", "file", "lazy", "linked", "meaning", "reads", "targets")

    def __init__(self, file: File, definition: Definition | None) -> None:
        self.file = file
        self.definition = definition or NOTHING
        self.linked = False
        self.meaning = ""
        self.targets: list[Node] = []
        self.lazy: list[File] = []
        traits = self.definition.traits
        self.reads = {at for at, name in enumerate(_READING) if name in traits}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it binds."""
        return self.definition.names

    def shown(self, told: Sequence[int]) -> str:
        """Return its digest, with what only tells where something reads it."""
        if not told:
            return self.meaning
        return definitions.digest([self.meaning, *(self.definition.told[at] for at in told)])


_READING = ("reflects", "documents")
NOTHING = Definition((), "", ("", ""), (), (), (), (), frozenset(), ())
"""What a node defines that stands for a module."""


def counts(file: Path) -> bool:
    """Tell whether a module can change a byte of an output."""
    if not file.is_relative_to(Home.package):
        return True
    name = ".".join(file.relative_to(Home.package).with_suffix("").parts)
    return not any(f"{name}.".startswith(f"{one}.") for one in NOT_COUNTED)


# ---------------------------------------------------------------------- what leads where


class _Kept:
    """The linker of this process, as long as no source that it read has changed."""

    linker: _Linker | None = None


def _linker() -> _Linker:
    homes = (Home.package, *plugins.Folders.extra)
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
        self._done: dict[tuple[Path, ...], Code] = {}
        self._imports: dict[Path, tuple[File, ...]] = {}
        self._spans: dict[File, list[Span]] = {}

    def is_current(self) -> bool:
        """Tell whether all files and folders that were looked at are as they were."""
        return all(_mark(path) == mark for path, mark in self._marks.items())

    def file(self, path: Path) -> File:
        """Return a file of ours.

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
        """Return the file of a module of ours by its name."""
        if dotted not in self._modules:
            top, _, rest = dotted.partition(".")
            home = self._tops.get(top)
            self._modules[dotted] = None if home is None else self._look(home, rest)
        return self._modules[dotted]

    def _look(self, home: Path, rest: str) -> File | None:
        path = home.joinpath(*rest.split(".")) if rest else home
        folder = str(path.parent)
        self._marks.setdefault(folder, _mark(folder))
        files = (*([path.with_suffix(".py")] if rest else []), path / "__init__.py")
        found = next((file for file in files if file.is_file()), None)
        return None if found is None else self.file(found)

    def imported(self, dotted: str) -> list[File]:
        """Return the files that an import of a module, or of something in one, runs."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return []
        names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return [file for name in names if (file := self.module(name)) and file.counts]

    def imports(self, file: File) -> tuple[File, ...]:
        """Return the files that importing one runs, itself included."""
        if file.path not in self._imports:
            found = {file: None}
            queue = [file]
            while queue:
                one = queue.pop()
                own = f"{one.home.name}.{one.place}" if one.place else one.home.name
                for dotted in (own, *one.text.imports, *one.text.stars):
                    new = [other for other in self.imported(dotted) if other not in found]
                    found.update(dict.fromkeys(new))
                    queue += new
            self._imports[file.path] = tuple(found)
        return self._imports[file.path]

    # ------------------------------------------------------------------ nodes

    def link(self, node: Node) -> Node:
        """Find what a node uses."""
        if not node.linked:
            node.linked = True
            if node is node.file.whole:
                self._link_names(node, sorted(node.file.by_name))
                node.targets += [one for one in node.file.nodes if not one.names]
            elif node is node.file.interface:
                self._link_names(node, self._offered(node.file))
            else:
                self._link_uses(node)
        return node

    def _link_names(self, node: Node, names: list[str]) -> None:
        found = [(name, *self._within(node.file, [name])) for name in names]
        parts = [f"{name} {token}" for name, token, _ in found]
        node.meaning = definitions.digest(["names", *parts])
        node.targets = [target for _, _, target in found if target is not None]

    def _offered(self, file: File) -> list[str]:
        """Return the public names of a file, and what it imports for others."""
        read = any(f".{DECLARATION}" in node.definition.uses for node in file.nodes)
        declares = file.path.parent.name in DECLARING and not read
        told = {"ASSETS", *([DECLARATION] if declares and self._is_declared(file) else [])}
        names = [name for name in file.by_name if _is_public(name) and name not in told]
        for name, dotted in file.text.aliases.items():
            if _is_public(name) and name not in file.used and dotted in file.text.imports:
                _, target = self._absolute(dotted)
                names += [name] if target is not None and target.definition is not NOTHING else []
        return sorted(names)

    def _is_declared(self, file: File) -> bool:
        """Tell whether a plugin's tasks are written as they are: one name, whose value uses and calls nothing."""
        node = file.by_name.get(DECLARATION)
        return (
            node is not None and node.names == (DECLARATION,) and "plain" in node.definition.traits
        )

    def _link_uses(self, node: Node) -> None:
        own, parts = node.definition, [node.definition.meaning]
        for use in own.uses:
            token, target = self._used(node.file, use)
            parts.append(token)
            if target is not None:
                node.targets.append(target)
                attributes = token.partition(" ")[2].split(".")
                node.reads |= {0} if not definitions.REFLECTING.isdisjoint(attributes) else set()
                node.reads |= {1} if not definitions.DOCUMENTING.isdisjoint(attributes) else set()
        if "placed" in own.traits:
            parts.append(f"in {node.file.place}")
        node.lazy = [file for dotted in own.lazy for file in self.imported(dotted)]
        for name in own.strings:
            if "/" in name:
                node.targets.append(self._plugin(name, parts).interface)
            else:
                node.targets += [file.whole for file in self._told_of(name)]
        node.meaning = definitions.digest(parts)
        if "opaque" in own.traits:
            brought = [one for dotted in node.file.text.imports for one in self.imported(dotted)]
            node.targets += [file.whole for file in (node.file, *dict.fromkeys(brought))]

    def _plugin(self, text: str, parts: list[str]) -> File:
        """Return the file of a plugin, and add the options of an entry to what counts."""
        family, name = text.split("/")
        found = plugins.entry(family, name)
        if found is not None:
            self._marks[str(found.home / FILE)] = _mark(str(found.home / FILE))
            parts.append(repr(sorted(found.options.items())))
        return self.file(_audited(plugins.file(family, name)))

    def _told_of(self, text: str) -> list[File]:
        """Return the modules that a text names: one, or all of a package whose name it begins with."""
        if text.partition(".")[0] not in self._tops:
            return []
        if not text.endswith("."):
            found = self.module(text)
            return [found] if found and found.counts else []
        package = self.module(text[:-1])
        if package is None or package.path.name != "__init__.py":
            return []
        folder = package.path.parent
        self._marks.setdefault(str(folder), _mark(str(folder)))
        files = map(self.file, sorted(folder.glob("*.py")))
        return [file for file in files if file.counts]

    def _used(self, file: File, use: str) -> tuple[str, Node | None]:
        if use.startswith("."):
            return self._within(file, use[1:].split("."))
        if use.startswith("*"):
            name, *rest = use[1:].split(".")
            found = self._in_stars(file, name, rest, ())
            return found or (f"builtin {use[1:]}", None)
        return self._absolute(use)

    def _in_stars(
        self, file: File, name: str, rest: list[str], seen: tuple[File, ...]
    ) -> tuple[str, Node | None] | None:
        for star in file.text.stars:
            other = self.module(star)
            if other is None or other in seen:
                continue
            if name in other.by_name or name in other.text.aliases:
                return self._within(other, [name, *rest])
            found = self._in_stars(other, name, rest, (*seen, file))
            if found:
                return found
        return None

    def _absolute(self, dotted: str, depth: int = 0) -> tuple[str, Node | None]:
        """Return what stands for a name of a module, and the definition behind it, if it is ours and counts."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return f"library {dotted}", None
        file, rest = None, parts
        for end in range(1, len(parts) + 1):
            found = self.module(".".join(parts[:end]))
            if file and (found is None or parts[end - 1] in file.by_name):
                break
            if found:  # a folder without `__init__.py` is a package, too
                file, rest = found, parts[end:]
        if file is None:
            return f"missing {dotted}", None
        if not file.counts:
            return f"beyond {'.'.join(rest) or file.path.stem}", None
        return self._within(file, rest, depth)

    def _within(self, file: File, rest: list[str], depth: int = 0) -> tuple[str, Node | None]:
        if not rest:
            return "module", file.whole
        name, *attributes = rest
        chain = ".".join(attributes)
        node = file.by_name.get(name)
        if node is not None:
            at = node.names.index(name) if len(node.names) > 1 else ""
            return f"ours{at} {chain}", node
        if name in file.text.aliases and depth < _DEEPEST:
            return self._absolute(".".join([file.text.aliases[name], *attributes]), depth + 1)
        if name == "__name__":
            return f"named {file.place}", None
        found = self._in_stars(file, name, attributes, ())
        return found or (f"module .{'.'.join(rest)}", file.whole)

    # ------------------------------------------------------------------ what importing a file does

    def acts(self, file: File) -> list[Node]:
        """Return what importing a file does beside giving names to things."""
        found = [node for node in file.nodes if "main" not in node.definition.traits]
        return [node for node in found if self._is_loud(node)]

    def _is_loud(self, node: Node) -> bool:
        if "acts" in node.definition.traits:
            return True
        return not all(self._is_quiet(node.file, call) for call in node.definition.calls)

    def _is_quiet(self, file: File, call: str) -> bool:
        """Tell whether calling something while a module is imported changes nothing else."""
        if call.startswith("?"):
            return False
        base = call.startswith("<")
        token, target = self._used(file, call.removeprefix("<"))
        kind, _, chain = token.partition(" ")
        if target is None:
            return base or kind in ("beyond", "named", "builtin") or definitions.is_pure(chain)
        if target.definition is NOTHING:
            return False
        if base:
            more = (one for one in target.definition.calls if one.startswith("<"))
            plain = "plain base" in target.definition.traits
            return plain and all(self._is_quiet(target.file, one) for one in more)
        return not chain and "quiet" in target.definition.traits

    def spans(self, file: File) -> list[Span]:
        """Return where the definitions of a file are."""
        if file not in self._spans:
            acts, name = set(self.acts(file)), spell(file.path)
            self._spans[file] = [
                Span(
                    name,
                    f"{name}: {file.label(node)}",
                    node.definition.lines,
                    "quiet" in node.definition.traits
                    or ("value" in node.definition.traits and node not in acts),
                )
                for node in file.nodes
            ]
        return self._spans[file]

    # ------------------------------------------------------------------ a job

    def code(self, roots: tuple[Path, ...]) -> Code:
        """Return the code of jobs that begin at some files."""
        if roots not in self._done:
            self._done[roots] = self._code(roots)
        return self._done[roots]

    def _code(self, roots: tuple[Path, ...]) -> Code:
        main = self._walk([*(self.file(path).interface for path in roots), *self._given(roots)], {})
        nodes, walks = dict(main), list[dict[Node, int]]()
        files: dict[File, None] = {}
        queue = list(nodes)
        while queue:
            node = queue.pop()
            for first in (node.file, *node.lazy):
                for file in self.imports(first):
                    if file in files:
                        continue
                    files[file] = None
                    acts = [act for act in self.acts(file) if act not in main]
                    if acts:
                        walk = self._walk(acts, main)
                        walks.append(walk)
                        queue += [one for one in walk if one not in nodes]
                        nodes.update(walk)
        told = sorted({at for node in nodes for at in node.reads})
        rows = [_row(node, main, {}, told) for node in main]
        others = {
            definitions.digest([_row(node, main, walk, told) for node in walk]) for walk in walks
        }
        docs = sorted({node.file.text.told for node in nodes}) if 1 in told else []
        assets = self._assets(nodes)
        beside = [f"{_in_home(path, self.homes)} {known}" for path, known in assets.items()]
        linked = definitions.digest(
            [*rows, "acts", *sorted(others), "assets", *sorted(beside), "docs", *docs]
        )
        table = _table(nodes, told)
        table |= {spell(path): known for path, known in assets.items()}
        read = frozenset((*(file.path for file in files), *assets))
        return Code(tuple(map(spell, roots)), dict(sorted(table.items())), linked, read)

    def _given(self, roots: tuple[Path, ...]) -> list[Node]:
        """Return what each job of ours reaches."""
        files = [(self.module(f"{self.homes[0].name}.{place}"), name) for place, name in GIVEN]
        return [
            file.by_name[name] for file, name in files if roots and file and name in file.by_name
        ]

    def _walk(self, begin: list[Node], known: dict[Node, int]) -> dict[Node, int]:
        """Return what is reached and not known, numbered in the order in which it is."""
        found = {node: at for at, node in enumerate(dict.fromkeys(begin))}
        queue = list(found)
        for node in queue:  # which grows meanwhile
            for target in self.link(node).targets:
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


def _row(node: Node, main: dict[Node, int], walk: dict[Node, int], told: Sequence[int]) -> str:
    """Return what a node means, and the numbers of what it uses."""
    numbers = [f"{main[one]}" if one in main else f"act {walk[one]}" for one in node.targets]
    return " ".join([node.shown(told), *numbers])


def _table(nodes: Iterable[Node], told: Sequence[int]) -> dict[str, dict[str, str] | str]:
    found: dict[str, dict[str, str]] = {}
    for node in nodes:
        known = found.setdefault(spell(node.file.path), {})
        if node.definition is not NOTHING:
            known[node.file.label(node)] = node.shown(told)[:_SHOWN]
    return {file: dict(sorted(known.items())) for file, known in found.items()}


def _in_home(path: Path, homes: Iterable[Path]) -> str:
    home = next(one for one in homes if path.is_relative_to(one))
    return path.relative_to(home).as_posix()
