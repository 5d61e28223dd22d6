"""Code of jobs: the definitions that they reach, numbered, and one digest over them.

A job begins at its *roots*, functions or files. `linker` gives what each definition uses. Statements at the top of
modules that do more than define count where an import runs them.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from shiftbench.base.registry.declared import Location
from shiftbench.provenance import definitions, import_effects
from shiftbench.provenance.linker import Linker
from shiftbench.provenance.source_names import bytes_digest, spell, spell_root, stat_of
from shiftbench.provenance.source_nodes import NOTHING, File, Node

_TABLE_DIGITS = 8
"""Hexadecimal digits of a definition in a recipe; `linked` has all of them."""
GIVEN = (("base.refs", "Ref"),)
"""Classes that count and whose instances a stage gets from code that does not count: every job reaches them."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code that decides an output.

    Attributes:
        roots: files and functions of the stage and its plugins at which it begins, see `spell_root`.
        table: {file: {definition: digest}}, and {asset: digest}, for readers.
        linked: one digest of all definitions and their uses, without names and places (32 hexadecimal digits).
        files: the imported files and the assets.
    """

    roots: tuple[str, ...]
    table: dict[str, dict[str, str] | str]
    linked: str
    files: frozenset[Path]

    def recipe(self) -> dict[str, Any]:
        """Its keys of a recipe."""
        return {"roots": list(self.roots), "code": self.table, "linked": self.linked}


class JobCodes:
    """Code of jobs, each found once.

    Args:
        linker: of the sources.
    """

    def __init__(self, linker: Linker) -> None:
        self.linker = linker
        self._codes: dict[tuple[Location, ...], Code] = {}
        self._touches: dict[Node, set[Node | str]] = {}

    def code(self, roots: tuple[Location, ...]) -> Code:
        """Code of jobs that begin at some files or functions."""
        if roots not in self._codes:
            self._codes[roots] = self._code(roots)
        return self._codes[roots]

    def _code(self, roots: tuple[Location, ...], *, noted: bool = False) -> Code:
        first_nodes = [*map(self.linker.root, roots), *self._nodes_of_all(roots)]
        main = self._walk(first_nodes, {}, noted=noted)
        nodes, files = dict(main), dict[File, None]()
        walks: dict[File, dict[Node, int]] = {}
        queue: list[File | Node] = [*(self.linker.file(root.file) for root in roots), *nodes]
        for item in queue:  # the list grows meanwhile
            for first in (item,) if isinstance(item, File) else (item.file, *item.lazy):
                for file in self.linker.imports(first):
                    if file in files:
                        continue
                    files[file] = None
                    acts = [act for act in self.linker.acts(file) if act not in main]
                    walk = walks[file] = self._walk(acts, main, noted=noted)
                    queue += [new for new in walk if new not in nodes]
                    nodes.update(walk)
        reads = sorted({index for node in nodes for index in node.reads})
        if 0 in reads and not noted:
            return self._code(roots, noted=True)
        rows = [_row(node, main, {}, reads, noted=noted) for node in main]
        effects = self._effects(walks, main, reads, noted=noted)
        file_descriptions = sorted({node.file.text.descriptions[index] for node in nodes for index in reads})
        assets = self._assets(nodes)
        asset_rows = [f"{_in_home(path, self.linker.homes)} {asset_digest}" for path, asset_digest in assets.items()]
        linked = definitions.digest(
            [*rows, "acts", *sorted(effects), "assets", *sorted(asset_rows), "files", *file_descriptions]
        )
        table = _table(nodes, reads)
        table |= {spell(path): asset_digest for path, asset_digest in assets.items()}
        paths = frozenset((*(file.path for file in files), *assets))
        return Code(tuple(map(spell_root, roots)), dict(sorted(table.items())), linked, paths)

    def _effects(
        self, walks: dict[File, dict[Node, int]], main: dict[Node, int], reads: Sequence[int], *, noted: bool
    ) -> set[str]:
        """A digest of what importing each file does, in the order of its text.

        Files whose effects share a variable, or a library, are in the order in which they are imported.
        """
        effects: list[tuple[str, set[Node | str]]] = []
        shared = {item for file in walks for act in self.linker.acts(file) for item in self._changeable(act)}
        for file, walk in walks.items() if shared else ():
            nodes = [item for item in file.nodes if item in main or item in walk]
            touched_by_node = {item: touched for item in nodes if (touched := self._touched(item) & shared)}
            if touched_by_node:
                lines = [(at, item) for item in touched_by_node for at, _ in item.definition.lines]
                order = [_number(item, main, walk) for _, item in sorted(lines, key=itemgetter(0))]
                rows = [_row(node, main, walk, reads, noted=noted) for node in walk]
                touched = set().union(*touched_by_node.values())
                effects.append((definitions.digest([*rows, "order", *order]), touched))
        return {
            definitions.digest([effect, *(other for other, other_touched in effects[:at] if other_touched & touched)])
            for at, (effect, touched) in enumerate(effects)
        }

    def _changeable(self, act: Node) -> set[Node | str]:
        """Variables and libraries that a statement may change."""
        reached = self._walk([act], {}, noted=False)
        if any("stores" in node.definition.traits for node in reached):
            return self._touched(act)
        return self._touched(act) - {node for node in reached if "plain" in node.definition.traits}

    def _touched(self, node: Node) -> set[Node | str]:
        """Variables and libraries on which the effect of importing a definition depends."""
        if node not in self._touches:
            first_nodes, libraries = [node], set[str]()
            if self.linker.is_loud(node):
                uses = (use for use in node.definition.uses if not use.startswith((".", "*")))
                libraries = {use.partition(".")[0] for use in uses if not import_effects.is_pure(use)}
            else:
                read = (use[1:] for use in node.definition.calls if use.startswith("&"))
                used = (self.linker.used(node.file, use)[1] for use in read)
                first_nodes = [use for use in used if use is not None]
            reached = {use for use in self._walk(first_nodes, {}, noted=False) if _is_variable(use)}
            itself = {node} if self.linker.is_loud(node) else set()
            self._touches[node] = {*itself, *reached, *libraries}
        return self._touches[node]

    def _nodes_of_all(self, roots: tuple[Location, ...]) -> list[Node]:
        """Nodes that every job reaches."""
        files = [(self.linker.module(f"{self.linker.homes[0].name}.{place}"), name) for place, name in GIVEN]
        return [file.by_name[name] for file, name in files if roots and file and name in file.by_name]

    def _walk(self, first_nodes: list[Node], known: dict[Node, int], *, noted: bool) -> dict[Node, int]:
        """Nodes that are reached and not known, numbered in the order in which they are reached.

        Args:
            first_nodes: the walk begins at them.
            known: nodes that were reached before.
            noted: whether annotations are followed.
        """
        numbers = {node: number for number, node in enumerate(dict.fromkeys(first_nodes))}
        queue = list(numbers)
        for node in queue:  # the list grows meanwhile
            for target in _targets(self.linker.link(node), noted=noted):
                if target not in numbers and target not in known:
                    numbers[target] = len(numbers)
                    queue.append(target)
        return numbers

    def _assets(self, nodes: Iterable[Node]) -> dict[Path, str]:
        files = dict.fromkeys(node.file for node in nodes)
        asset_digests = {}
        for file in files:
            for name in file.text.assets:
                path = Path(os.path.normpath(file.path.parent / name))
                stat = stat_of(path)
                self.linker.marks[str(path)] = stat.st_mtime_ns, stat.st_size
                asset_digests[path] = bytes_digest(path, stat.st_mtime_ns, stat.st_size)
        return asset_digests


def _row(node: Node, main: dict[Node, int], walk: dict[Node, int], reads: Sequence[int], *, noted: bool) -> str:
    """Digest of a node and the numbers of the nodes that it uses."""
    numbers = [_number(target, main, walk) for target in _targets(node, noted=noted)]
    return " ".join([node.digest_with(reads), *numbers])


def _targets(node: Node, *, noted: bool) -> list[Node]:
    return [*node.targets, *node.notes] if noted else node.targets


def _number(node: Node, main: dict[Node, int], walk: dict[Node, int]) -> str:
    return f"{main[node]}" if node in main else f"act {walk[node]}"


def _is_variable(node: Node) -> bool:
    """Whether a definition may have a value that changes."""
    return not node.definition.traits.isdisjoint(("value", "acts"))


def _table(nodes: Iterable[Node], reads: Sequence[int]) -> dict[str, dict[str, str] | str]:
    table: dict[str, dict[str, str]] = {}
    for node in nodes:
        file_digests = table.setdefault(node.file.name, {})
        if node.definition is not NOTHING:
            file_digests[node.file.label(node)] = node.digest_with(reads)[:_TABLE_DIGITS]
    return {file: dict(sorted(file_digests.items())) for file, file_digests in table.items()}


def _in_home(path: Path, homes: Iterable[Path]) -> str:
    home = next(folder for folder in homes if path.is_relative_to(folder))
    return path.relative_to(home).as_posix()
