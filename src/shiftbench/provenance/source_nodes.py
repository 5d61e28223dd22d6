"""Source files and their definitions, as nodes of the graph of references that `linker` makes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from shiftbench.provenance import definitions
from shiftbench.provenance.definitions import Definition, Text
from shiftbench.provenance.source_facts import text_of
from shiftbench.provenance.source_names import counts, spell, stat_of


class File:
    """A source file of ours.

    Attributes:
        path: of the file.
        name: its path independent of its home folder, see `spell`.
        place: dotted name within its home folder.
        text: facts of its text.
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
        stat = stat_of(path)
        self.text: Text = text_of(path, stat.st_mtime_ns, stat.st_size)
        self.nodes = [Node(self, definition) for definition in self.text.definitions]
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
        """Name of a definition of this file for readers."""
        if node.names:
            return ", ".join(node.names)
        others = [other for other in self.nodes if not other.names]
        return f"statement {others.index(node) + 1}"


class Node:
    """A definition, all of a module, or the public part of a module: its meaning and its uses.

    Attributes:
        meaning: digest of it, with the kind of each reference but not its target.
        targets: nodes that the references lead to.
        notes: nodes that its annotations lead to.
        lazy: files that it imports when it runs.
        reads: descriptions of other nodes that it reads: names and annotations (0), docstrings (1), sources (2).
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
        self.reads = {index for index, name in enumerate(_READING) if name in traits}

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it binds."""
        return self.definition.names

    def digest_with(self, reads: Sequence[int]) -> str:
        """Its digest, with the descriptions that something reads."""
        if not reads:
            return self.meaning
        return definitions.digest(
            [self.meaning, *(self.definition.descriptions[index] for index in reads if index < 2)]
        )


_READING = ("reflects", "documents", "sources")
NOTHING = Definition((), "", ("", ""), (), (), (), (), (), frozenset(), ())
"""Definition of a node that stands for a module."""
