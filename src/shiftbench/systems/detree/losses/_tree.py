"""Trees over classes in the file format of DETree's repository: one node a line, `id parent names`.

The parent of the root is -1, the names of an inner node are `none`, a leaf lists its classes with commas between them.
Order of lines and numbers of nodes are kept, so that a file read and written again is the same file.

Source: `Tree` in detree/model/simclr.py and `save_edge` in detree/cli/hierarchical_clustering.py of
heyongxin233/DETree (what they read and write).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError

Flags = NDArray[np.bool_]
ROOT = -1
"""What the root has for a parent."""


@dataclass(frozen=True)
class Tree:
    """A tree whose leaves are groups of classes.

    Attributes:
        parents: node -> its parent, in the order of the file.
        names: leaf -> its classes.

    Raises:
        DataError: no tree: more or less than one root, a parent that is no node, a circle, an inner node with
            classes, a leaf without, a class in two leaves.
    """

    parents: Mapping[int, int]
    names: Mapping[int, tuple[str, ...]]

    def __post_init__(self) -> None:
        wrong = next(self._faults(), None)
        if wrong:
            raise DataError(f"this is no tree over classes: {wrong}")

    def _faults(self) -> Iterator[str]:
        roots = [node for node, parent in self.parents.items() if parent == ROOT]
        if len(roots) != 1:
            yield f"expected one root, whose parent is {ROOT}, found {len(roots)}"
        for node, parent in self.parents.items():
            if parent not in self.parents and parent != ROOT:
                yield f"the parent {parent} of node {node} has no line"
        if len(self.under(roots[0])) != len(self.parents):
            yield "some nodes do not hang on the root"
        inner = set(self.parents.values())
        for node in self.parents:
            if (node in inner) == (node in self.names):
                yield f"node {node} has children and classes, or neither"
        listed = [name for group in self.names.values() for name in group]
        for name in sorted({name for name in listed if listed.count(name) > 1}):
            yield f"the class {name!r} stands in two leaves"

    @classmethod
    def parse(cls, text: str) -> Tree:
        """The tree of a file's text.

        Raises:
            DataError: a line is not `id parent names`, an id stands twice, or it is no tree; names the line.
        """
        parents: dict[int, int] = {}
        names: dict[int, tuple[str, ...]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                node, parent, said = line.split()
                if int(node) in parents:
                    raise DataError(f"line {number}: node {node} stands twice")
                parents[int(node)] = int(parent)
            except ValueError:
                raise DataError(f"line {number}: expected `id parent names`, found {line!r}") from None
            if said != "none":
                names[int(node)] = tuple(said.split(","))
        return cls(parents, names)

    @classmethod
    def star(cls, classes: Iterable[str]) -> Tree:
        """The tree in which each class is a child of the root, as `gen_tree.py` numbers it."""
        names = {at: (name,) for at, name in enumerate(classes)}
        return cls({**dict.fromkeys(names, len(names)), len(names): ROOT}, names)

    def text(self) -> str:
        """The file's text."""
        return "".join(
            f"{node} {parent} {','.join(self.names.get(node, ('none',)))}\n" for node, parent in self.parents.items()
        )

    @cached_property
    def root(self) -> int:
        """The root's number."""
        return next(node for node, parent in self.parents.items() if parent == ROOT)

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """All nodes but the root, in rising order: those that have a prototype."""
        return tuple(sorted(node for node in self.parents if node != self.root))

    @cached_property
    def leaf_of(self) -> dict[str, int]:
        """Class -> its leaf."""
        return {name: leaf for leaf, group in self.names.items() for name in group}

    def path(self, node: int) -> tuple[int, ...]:
        """A node, its parent and so on up to a child of the root; () for the root."""
        visited: list[int] = []
        while node != self.root:
            visited.append(node)
            node = self.parents[node]
        return tuple(visited)

    def under(self, node: int) -> set[int]:
        """A node and all below it."""
        visited, last = {node}, {node}
        while last:
            last = {child for child, parent in self.parents.items() if parent in last} - visited
            visited |= last
        return visited

    def levels(self) -> tuple[Flags, Flags]:
        """The positives and negatives of each class's leaf, from the leaf (level 0) up.

        Level i of leaf c with its path f^0 = c, f^1, ...: positives are under f^i and not under f^(i-1), negatives are
        not under f^i.

        Returns:
            positives and negatives bool (levels, leaves, nodes): leaves in the order of `names`, nodes as in `nodes`;
            levels above a leaf's depth have neither.
        """
        paths = [self.path(leaf) for leaf in self.names]
        shape = max(map(len, paths)), len(paths), len(self.nodes)
        positives, negatives = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        own = {node: np.isin(self.nodes, list(self.under(node))) for node in self.nodes}
        for at, path in enumerate(paths):
            below = np.zeros(len(self.nodes), dtype=bool)
            for level, node in enumerate(path):
                positives[level, at] = own[node] & ~below
                negatives[level, at] = ~own[node]
                below = own[node]
        return positives, negatives

    def common_depth(self, one: str, other: str) -> int:
        """The depth of the lowest node that both classes are under; 0 is the root, a shared leaf its depth."""
        paths = (self.path(self.leaf_of[name]) for name in (one, other))
        return len(set.intersection(*map(set, paths)))
