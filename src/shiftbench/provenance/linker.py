"""Links references of definitions to the definitions, files and plugins that they lead to."""

import os
from dataclasses import dataclass
from pathlib import Path

from shiftbench.base import registry
from shiftbench.base.errors import PluginError
from shiftbench.base.registry.declared import Location
from shiftbench.base.registry.variants import FILE
from shiftbench.provenance import definitions, import_effects, special_names
from shiftbench.provenance.source_facts import DECLARATION, DECLARING, TITLE
from shiftbench.provenance.source_names import audited, counts, spell
from shiftbench.provenance.source_nodes import NOTHING, File, Node

_DEEPEST = 20
"""Imports through which a name may come to a module."""


@dataclass(frozen=True, slots=True)
class Span:
    """A definition in its file.

    Attributes:
        file: its name, see `source_names.spell`.
        name: as in `code_digest.named_digests`.
        lines: first and last line of each statement.
        is_quiet: whether its code may run while its module is imported, for a job that does not reach it.
    """

    file: str
    name: str
    lines: tuple[tuple[int, int], ...]
    is_quiet: bool

    def has(self, line: int) -> bool:
        """Whether a line belongs to it."""
        return any(first <= line <= last for first, last in self.lines)


class Linker:
    """Finds what references lead to.

    Args:
        homes: the package, and folders of plugins.

    Attributes:
        marks: time of change and size of each file and folder that was read; None: it does not exist.
    """

    def __init__(self, homes: tuple[Path, ...]) -> None:
        self.homes = homes
        self.marks: dict[str, tuple[int, int] | None] = {}
        self._tops = {home.name: home for home in reversed(homes)}
        self._files: dict[Path, File] = {}
        self._modules: dict[str, File | None] = {}
        self._imports: dict[Path, tuple[File, ...]] = {}
        self._acts: dict[File, list[Node]] = {}
        self._spans: dict[File, list[Span]] = {}

    def is_current(self) -> bool:
        """Whether all files and folders that were read are unchanged."""
        return all(_mark(path) == mark for path, mark in self.marks.items())

    def file(self, path: Path) -> File:
        """A file of ours.

        Raises:
            PluginError: it is in no home, or not there.
        """
        if path not in self._files:
            spell(path)
            home = next(folder for folder in self.homes if path.is_relative_to(folder))
            self.marks[str(path)] = _mark(str(path))
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
        self.marks.setdefault(folder, _mark(folder))
        files = (path / "__init__.py", *([path.with_suffix(".py")] if rest else []))
        existing = next((file for file in files if file.is_file()), None)
        return None if existing is None else self.file(existing)

    def imported(self, dotted: str) -> list[File]:
        """Files that an import of a module, or of something in one, runs."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return []
        names = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        return [file for name in names if (file := self.module(name)) and file.counts]

    def imports(self, file: File) -> tuple[File, ...]:
        """Files that importing a file runs, itself included, each after the files that it imports."""
        if file.path not in self._imports:
            seen, imports = {file}, dict[File, None]()
            stack = [(file, iter(self._imported_by(file)))]
            while stack:
                current, rest = stack[-1]
                next_file = next((other for other in rest if other not in seen), None)
                if next_file is None:
                    imports[current] = None
                    stack.pop()
                else:
                    seen.add(next_file)
                    stack.append((next_file, iter(self._imported_by(next_file))))
            self._imports[file.path] = tuple(imports)
        return self._imports[file.path]

    def _imported_by(self, file: File) -> list[File]:
        own_name = f"{file.home.name}.{file.place}" if file.place else file.home.name
        names = (own_name, *file.text.imports, *file.text.stars)
        return [other for dotted in names for other in self.imported(dotted)]

    # ------------------------------------------------------------------ nodes

    def link(self, node: Node) -> Node:
        """Find what a node uses."""
        if not node.linked:
            node.linked = True
            if node is node.file.whole:
                title = {TITLE} if self._is_declared(node.file, TITLE) else set()
                self._link_names(node, sorted({*node.file.by_name, *node.file.text.aliases} - title))
                node.targets += [statement for statement in node.file.nodes if not statement.names]
                node.targets += self._below(node.file)
            elif node is node.file.interface:
                self._link_names(node, self._public_names(node.file))
            else:
                self._link_uses(node)
            self._link_stars(node)
        return node

    def _link_stars(self, node: Node) -> None:
        """Add what `from ... import *` may bring to a file: what any of its names means is not known."""
        stars = node.file.text.stars
        if stars:
            node.meaning = definitions.digest([node.meaning, "stars", *stars])
            node.targets += [file.whole for module in stars if (file := self.module(module)) and file.counts]

    def _below(self, file: File) -> list[Node]:
        """Modules in a package."""
        return self._in_folder(file.path.parent) if file.path.name == "__init__.py" else []

    def _in_folder(self, folder: Path) -> list[Node]:
        """All modules below a folder."""
        self.marks.setdefault(str(folder), _mark(str(folder)))
        nodes: list[Node] = []
        for path in sorted(folder.iterdir()):
            if path.suffix == ".py" and counts(path):
                nodes.append(self.file(path).whole)
            elif path.name.isidentifier() and path.name != "__pycache__" and path.is_dir():
                nodes += self._in_folder(path)
        return nodes

    def _link_names(self, node: Node, names: list[str]) -> None:
        uses = [(name, *self._in_file(node.file, [name])) for name in names]
        parts = [f"{name} {token}" for name, token, _ in uses]
        node.meaning = definitions.digest(["names", *parts])
        node.targets = [target for _, _, target in uses if target is not None]

    def _public_names(self, file: File) -> list[str]:
        """Public names of a file, and what it imports for others."""
        is_read = any(f".{DECLARATION}" in node.definition.uses for node in file.nodes)
        declares = file.path.parent.name in DECLARING and not is_read
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
        definition, parts = node.definition, [node.definition.meaning]
        node.notes = [target_of_note for use in definition.notes if (target_of_note := self.used(node.file, use)[1])]
        node.lazy = [file for dotted in definition.lazy for file in self.imported(dotted)]
        for use in definition.uses:
            token, target = self.used(node.file, use)
            kind, _, chain = token.partition(" ")
            parts.append(token)
            if kind == "missing":  # a package may have no `__init__.py`
                node.targets += self._namespace(chain)
            if target is not None:
                node.targets.append(target)
                node.reads |= {0} if special_names.REFLECTING & set(chain.split(".")) else set()
        if "placed" in definition.traits:
            parts.append(f"in {node.file.place}")
        for text in definition.strings:
            self._link_text(node, text, parts)
        if "opaque" in definition.traits:
            is_packaged = node.file.home == self.homes[0]
            module = [node.file.whole]
            node.targets += module if is_packaged else self._in_folder(node.file.home)
        node.meaning = definitions.digest(parts)

    def _link_text(self, node: Node, text: str, parts: list[str]) -> None:
        """Add what a text may name: a file of ours, a plugin, a module or a package."""
        if text.endswith(".py"):
            path = Path(os.path.normpath(node.file.path.parent / text))
            self.marks[str(path)] = _mark(str(path))
            node.targets += [self.file(path).whole] if self._is_ours(path) else []
        elif "/" in text:
            node.targets += self._plugins_named(text, node.file, parts)
        else:
            node.targets += [file.whole for file in self._modules_named(text)]

    def _plugins_named(self, text: str, file: File, parts: list[str]) -> list[Node]:
        """Plugins that a definition uses; without a name `uses` of its file names them, else all of the type count."""
        plugin_type, _, name = text.partition("/")
        if name:
            return [self._plugin(text, parts)]
        has_uses = "uses" in file.by_name or "uses" in file.text.aliases
        if has_uses or file.path.parent.name not in registry.PLUGIN_TYPES:
            return []
        return [self._plugin(f"{plugin_type}/{plugin}", parts) for plugin in registry.names(plugin_type)]

    def _plugin(self, text: str, parts: list[str]) -> Node:
        """Node of a plugin; the options of a variant are added to the parts of the meaning."""
        plugin_type, name = text.split("/")
        variant = registry.variant(plugin_type, name)
        if variant is not None:
            self.marks[str(variant.home / FILE)] = _mark(str(variant.home / FILE))
            parts.append(repr(sorted(variant.options.items())))
        location = registry.locate(plugin_type, name)
        return self.root(Location(audited(location.file), location.name))

    def root(self, root: Location) -> Node:
        """Node at which a job begins: a function that is a plugin, or the public part of a file.

        Raises:
            PluginError: the file has no such function.
        """
        file = self.file(root.file)
        if not root.name:
            return file.interface
        if root.name not in file.by_name:
            raise PluginError(f"{file.name} has no {root.name}; a plugin of that name was there")
        return file.by_name[root.name]

    def _modules_named(self, text: str) -> list[File]:
        """Modules that a text names: one, or all of a package whose name it begins with."""
        if text.partition(".")[0] not in self._tops:
            return []
        if not text.endswith("."):
            file = self.module(text)
            return [file] if file and file.counts else []
        return [node.file for node in self._namespace(text[:-1])]

    def _namespace(self, dotted: str) -> list[Node]:
        """Modules in a package, which may have no `__init__.py`; none: it is no package."""
        top, *rest = dotted.split(".")
        home = self._tops.get(top)
        folder = None if home is None else home.joinpath(*rest)
        return self._in_folder(folder) if folder and folder.is_dir() else []

    def _is_namespace(self, parts: list[str]) -> bool:
        """Whether a name is that of a folder of ours without `__init__.py`, which is a package, too."""
        return self._tops[parts[0]].joinpath(*parts[1:]).is_dir()

    def _is_ours(self, path: Path) -> bool:
        is_inside = any(path.is_relative_to(home) for home in self.homes)
        return is_inside and path.is_file() and counts(path)

    def used(self, file: File, use: str) -> tuple[str, Node | None]:
        """Token of a reference in a file (see `Definition.uses`), and the node that it leads to."""
        if use.startswith("."):
            return self._in_file(file, use[1:].split("."))
        if use.startswith("*"):
            return f"star {use[1:]}", None
        return self._absolute(use)

    def _absolute(self, dotted: str, depth: int = 0) -> tuple[str, Node | None]:
        """Token of the absolute name of a definition, and its node if it is ours and counts."""
        parts = dotted.split(".")
        if parts[0] not in self._tops:
            return f"library {dotted}", None
        file, rest = None, parts
        for end in range(1, len(parts) + 1):
            module = self.module(".".join(parts[:end]))
            if module is None and self._is_namespace(parts[:end]):
                continue
            if file and (module is None or self._hides(file, parts[end - 1], module)):
                break
            if module:
                file, rest = module, parts[end:]
        if file is None:
            return f"missing {dotted}", None
        if not file.counts:
            return f"beyond {'.'.join(rest) or file.path.stem}", None
        return self._in_file(file, rest, depth)

    def _hides(self, package: File, name: str, module: File) -> bool:
        """Whether a package gives another meaning to the name of a module in it."""
        alias = package.text.aliases.get(name)
        return name in package.by_name or (alias is not None and self.module(alias) is not module)

    def _in_file(self, file: File, rest: list[str], depth: int = 0) -> tuple[str, Node | None]:
        """Token of a name in a file with its attributes, and its node."""
        if not rest:
            return "module", file.whole
        name, *attributes = rest
        if file.text.stars and name not in file.by_name:
            return f"star {'.'.join(rest)}", file.whole
        chain = ".".join(attributes)
        node = file.by_name.get(name)
        if node is not None:
            index = node.names.index(name) if len(node.names) > 1 else ""
            return f"ours{index} {chain}", node
        if name in file.text.aliases and depth < _DEEPEST:
            return self._absolute(".".join([file.text.aliases[name], *attributes]), depth + 1)
        if name == "__name__":
            return f"named {file.place}", None
        return f"module .{'.'.join(rest)}", file.whole

    # ------------------------------------------------------------------ what importing a file does

    def acts(self, file: File) -> list[Node]:
        """Statements with which importing a file does more than define."""
        if file not in self._acts:
            nodes = [node for node in file.nodes if "main" not in node.definition.traits]
            self._acts[file] = [node for node in nodes if self.is_loud(node)]
        return self._acts[file]

    def is_loud(self, node: Node) -> bool:
        """Whether running a statement at the top of a module may do more than define."""
        if "acts" in node.definition.traits:
            return True
        return not all(self._is_quiet(node.file, call) for call in node.definition.calls)

    def _is_quiet(self, file: File, call: str) -> bool:
        """Whether calling something while a module is imported changes nothing else."""
        if call.startswith("&") or call.lstrip("@<")[:1] in "?~":
            return import_effects.is_pure(call)
        token, target = self.used(file, call.lstrip("@<"))
        kind, _, chain = token.partition(" ")
        if target is None:
            return call.startswith("<") or kind in ("beyond", "named") or import_effects.is_pure(call)
        traits = target.definition.traits
        if call.startswith("<"):
            bases = (base for base in target.definition.calls if base.startswith("<"))
            return "plain base" in traits and all(self._is_quiet(target.file, base) for base in bases)
        return not chain and ("quiet" in traits or (call.startswith("@") and "value" in traits))

    def spans(self, file: File) -> list[Span]:
        """Places of the definitions of a file."""
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


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name.startswith("__")


def _mark(path: str) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - hundreds of files are looked at for each plan
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
