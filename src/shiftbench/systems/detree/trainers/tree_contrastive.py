"""Tree-structured contrastive training (TSCL): DETree's second stage, on a tree out of the first.

For the model `stylometric_mlp`. The tree is built from training texts as the model of `flat`, of the same dataset,
architecture and seed, embeds them. Without `flat` it is a star: every class is a child of the root. Training begins
with the same initial network and takes as many steps, so that the two stages differ by the tree.

The tree is a hierarchical affinity tree (HAT) over classes, made from how alike their texts are embedded:

1. Similarity E = M M^T of class centres (means of normalised embeddings), made symmetric; distance D = 1 - E.
2. Weighted linkage (WPGMA) gives a binary tree, whose nodes have the height of their merge.
3. From the root down: a node no higher than `end`, or at depth 5, becomes one leaf of all its classes. Else 50
   thresholds from 0 to its height cut it into clusters; that of the best silhouette (the first of equals) gives its
   children. Where no threshold leaves more than one cluster and fewer than classes, each class is a leaf of its own.
4. A prior on the top of the tree (`PRIORS`).

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3 and appendix; scripts/build_hat_tree.sh and
train_detree.sh, and `gen_tree`, `merge_tree` and `chage_tree_priori1` to `3` in
detree/cli/hierarchical_clustering.py of heyongxin233/DETree, whose order of lines and numbers of nodes these are.
`prior: 1` and `end: 0.1` are the released ones; `_contrastive` has the other options. Differs: distances are clipped
to 0 to 2, where rounding leaves less than 0, and a side of one class is a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.cluster.hierarchy import ClusterNode, linkage, to_tree
from scipy.spatial.distance import squareform

from shiftbench.base import refs
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.detree.losses._tree import ROOT, Tree
from shiftbench.systems.detree.models import stylometric_mlp
from shiftbench.systems.detree.trainers import _contrastive

Floats = NDArray[np.float64]
THRESHOLDS, DEEPEST, END = 50, 5, 0.1
HUMAN = "human"
READS_SOURCES = True
TASKS = _contrastive.TASKS


class Options(_contrastive.Options):
    flat: str = Field("supcon", description="trainer of the first stage, whose model gives the tree; empty: a star")
    prior: Literal[0, 1, 2, 3] = Field(1, description="classes that the children of the root have; 0: no prior")
    end: float = Field(END, ge=0, description="height up to which a node is one leaf of all its classes")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Needs of `_contrastive`, and the model of the first stage."""
    if not params["flat"]:
        return _contrastive.needs(params)
    flat = refs.checkpoint(params["dataset"], params["model"], params["flat"], params["seed"])
    return [*_contrastive.needs(params), flat]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """State dict, see `_contrastive.train`."""
    training = _contrastive.texts(job, "train")
    if not job.params["flat"]:
        return _contrastive.train(job, training, Tree.star(sorted(set(training.classes))))
    file = next(path for ref, path in job.inputs.items() if ref.kind == "checkpoints")
    embed = stylometric_mlp.embedder(nets.read_state(file), job.model_params, file)
    names, alike = similarity(embed(training.features), training.classes)
    tree = build(names, alike, job.params["prior"], job.params["end"])
    job.log(0, "nodes", len(tree.parents))
    job.log(0, "leaves", len(tree.names))
    return _contrastive.train(job, training, tree)


# ------------------------------------------------------------------ the tree


@dataclass(frozen=True)
class Branch:
    """An inner node (`children`), or a leaf (`names`)."""

    children: tuple[Branch, ...] = ()
    names: tuple[str, ...] = ()


def _human(name: str) -> bool:
    return name == HUMAN


def _edited(name: str) -> bool:
    return HUMAN in name and not _human(name)


def _machine(name: str) -> bool:
    return HUMAN not in name


PRIORS: dict[int, tuple[tuple[Callable[[str], bool], ...], ...]] = {
    0: (),
    1: ((_human,), (_edited, _machine)),
    2: ((_human, _edited), (_machine,)),
    3: ((_human,), (_edited,), (_machine,)),
}
"""Children of the root: for each child, which classes are below it; without a prior the tree of all."""


def similarity(embeddings: NDArray[np.floating], classes: Sequence[str]) -> tuple[list[str], Floats]:
    """The names of the classes, sorted, and the similarity of their centres, float64 (C, C).

    Args:
        embeddings: (n, d), of length 1.
        classes: of each row.
    """
    names, at = np.unique(np.asarray(classes), return_inverse=True)
    centres = np.stack([embeddings[at == one].mean(0) for one in range(len(names))])
    return names.tolist(), centres.astype(np.float64) @ centres.T.astype(np.float64)


def build(names: Sequence[str], alike: Floats, prior: int = 1, end: float = END) -> Tree:
    """The tree of classes.

    Args:
        names: of the classes; with a prior, `human` and what has it in its name are people's.
        alike: similarity (C, C); it is made symmetric.
        prior: a key of PRIORS.
        end: the height up to which a node is one leaf.

    Raises:
        ParamsError: no such prior.
        DataError: fewer than two classes, a matrix of another shape, or a prior that finds none for a side.
    """
    if prior not in PRIORS:
        raise ParamsError(f"prior is {prior!r}; expected one of {', '.join(map(str, PRIORS))}")
    if len(names) < 2 or alike.shape != (len(names), len(names)):
        raise DataError(
            f"a tree of {len(names)} classes of a similarity {alike.shape}: expected two at least, and C x C"
        )
    distance = np.clip(1 - (alike + alike.T) / 2, 0, 2)
    np.fill_diagonal(distance, 0)
    if not PRIORS[prior]:
        return _number_nodes(_tree_of(range(len(names)), names, distance, end))
    sides = []
    for kinds in PRIORS[prior]:
        rows = [at for at, name in enumerate(names) if any(kind(name) for kind in kinds)]
        if not rows:
            raise DataError(f"prior {prior} needs classes that are not there; there are {', '.join(names)}")
        sides.append(_tree_of(rows, names, distance, end))
    return _number_nodes(Branch(tuple(sides)))


def _tree_of(rows: Sequence[int], names: Sequence[str], distance: Floats, end: float) -> Branch:
    """The reorganised tree of some of the classes."""
    own = [names[row] for row in rows]
    if len(own) == 1:
        return Branch(names=(own[0],))
    part = distance[np.ix_(rows, rows)]
    root: ClusterNode = to_tree(linkage(squareform(part), "weighted"))
    return _reorganise(root, own, part, 0, end)


def _reorganise(node: ClusterNode, names: list[str], distance: Floats, depth: int, end: float) -> Branch:
    classes = node.pre_order()
    if node.is_leaf() or node.dist <= end or depth >= DEEPEST:
        return Branch(names=tuple(names[at] for at in classes))
    best = _threshold(node, distance)
    if best is None:
        return Branch(tuple(Branch(names=(names[at],)) for at in classes))
    parts = _cut(node, best)
    return Branch(tuple(_reorganise(part, names, distance, depth + 1, end) for part in parts))


def _threshold(node: ClusterNode, distance: Floats) -> float | None:
    """The height at which the cut has the best silhouette; None where none has one."""
    from sklearn.metrics import silhouette_score  # takes a second, and is not needed to plan

    rows = np.array(sorted(node.pre_order()))
    own, best = distance[np.ix_(rows, rows)], (-1.0, None)
    for height in np.linspace(0, node.dist, THRESHOLDS):
        labels = np.empty(len(distance), dtype=int)
        parts = list(_cut(node, height))
        for label, part in enumerate(parts):
            labels[part.pre_order()] = label
        if 1 < len(parts) < len(rows):
            score = float(silhouette_score(own, labels[rows], metric="precomputed"))
            best = (score, height) if score > best[0] else best
    return best[1]


def _cut(node: ClusterNode, height: float) -> Iterator[ClusterNode]:
    """Yield the highest nodes that are no higher than a height, from left to right."""
    if node.dist <= height:
        yield node
        return
    yield from _cut(node.left, height)
    yield from _cut(node.right, height)


def _number_nodes(root: Branch) -> Tree:
    """A tree with the numbers of the released program: leaves in order of their lines, then who is complete."""
    lines = list(_lines(root, None))
    numbers = {id(branch): at for at, branch in enumerate(b for b, _ in lines if b.names)}
    fresh, waiting = count(len(numbers)), {id(b): len(b.children) for b, _ in lines}
    parents = {id(branch): parent for branch, parent in lines}
    queue = [branch for branch, _ in lines if branch.names]
    for branch in queue:
        parent = parents[id(branch)]
        if parent is not None:
            waiting[id(parent)] -= 1
            if not waiting[id(parent)]:
                numbers[id(parent)] = next(fresh)
                queue.append(parent)
    return Tree(
        {numbers[id(b)]: ROOT if up is None else numbers[id(up)] for b, up in lines},
        {numbers[id(b)]: b.names for b, _ in lines if b.names},
    )


def _lines(branch: Branch, parent: Branch | None) -> Iterator[tuple[Branch, Branch | None]]:
    yield branch, parent
    for child in branch.children:
        yield from _lines(child, branch)
