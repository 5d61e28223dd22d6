"""The tree-structured contrastive loss: formula, star tree, gradients, empty levels, and the released rule."""

import numpy as np
import pytest
import torch

from shiftbench.systems.detree.losses import tree_contrastive as tscl
from shiftbench.systems.detree.losses._tree import Tree

TREE = Tree.parse("8 -1 none\n0 8 human\n7 8 none\n6 7 none\n1 6 a\n2 6 b,c\n3 7 d\n")
T = 0.07


def batch(
    tree: Tree, n: int = 9, d: int = 5, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(4)
    queries = torch.randn(n, d, generator=random, dtype=dtype)
    leaves = torch.randint(0, len(tree.names), (n,), generator=random)
    return queries, leaves, torch.randn(len(tree.nodes), d, generator=random, dtype=dtype)


def levels(tree: Tree) -> tscl.Levels:
    found = tscl.Levels.of(tree)
    return found._replace(depths=found.depths.double())


def literal(
    queries: np.ndarray, leaves: list[int], prototypes: np.ndarray, tree: Tree, *, official: bool = False
) -> float:
    """Return the loss by its definition, one sample, level and candidate at a time."""
    order, deepest = list(tree.names), max(len(tree.path(leaf)) for leaf in tree.names)
    owner = [order[leaf] for leaf in leaves] + list(tree.nodes)
    unit = np.concatenate([queries, prototypes])
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    total = 0.0
    for query, leaf in enumerate(leaves):
        path = tree.path(order[leaf])
        below: set[int] = set()
        for node in path:
            under = tree.under(node)
            alike = [float(unit[query] @ other) / T for other in unit]
            kin = [s for s, own in zip(alike, owner, strict=True) if own in under - below]
            others = [s for s, own in zip(alike, owner, strict=True) if own not in under]
            below = under
            if official:
                positive = sum(kin) / max(len(kin), 1e-6)
                denominator = np.exp(positive) + sum(map(np.exp, others)) + (len(alike) - len(others))
            elif kin and others:
                positive = sum(kin) / len(kin)
                denominator = np.exp(positive) + sum(map(np.exp, others))
            else:
                continue
            total += (np.log(denominator) - positive) / len(path)
    return total / len(leaves) * (deepest if official else 1)


@pytest.mark.parametrize("official", [False, True])
def test_loss_is_its_definition(official: bool) -> None:
    queries, leaves, prototypes = batch(TREE)
    found = tscl.loss(queries, leaves, prototypes, levels(TREE), T, official_mask=official)
    wanted = literal(queries.numpy(), leaves.tolist(), prototypes.numpy(), TREE, official=official)
    assert found.item() == pytest.approx(wanted, abs=1e-9)


def test_both_rules_differ() -> None:
    args = (*batch(TREE), levels(TREE), T)
    assert abs(tscl.loss(*args) - tscl.loss(*args, official_mask=True) / 3) > 1e-3


def test_star_tree_is_the_flat_supervised_contrastive_loss() -> None:
    """-log exp(mean of own class / T) / (that + sum of exp of the others), all candidates in one go."""
    tree = Tree.star("abcd")
    queries, leaves, prototypes = batch(tree)
    units = torch.nn.functional.normalize(torch.cat([queries, prototypes]), dim=1)
    alike = units[: len(queries)] @ units.T / T
    same = torch.cat([leaves, torch.arange(4)])[None, :] == leaves[:, None]
    positive = torch.where(same, alike, 0).sum(1) / same.sum(1)
    others = torch.where(same, 0.0, alike.exp()).sum(1)
    flat = -(positive.exp() / (positive.exp() + others)).log().mean()
    assert tscl.loss(queries, leaves, prototypes, levels(tree), T).item() == pytest.approx(flat.item(), abs=1e-6)


def test_gradients_are_those_of_differences() -> None:
    """Of prototypes; candidates of the batch are detached, so of queries they are those with the candidates held."""
    queries, leaves, prototypes = batch(TREE, n=4, d=3)
    known = levels(TREE)
    prototypes.requires_grad_()
    assert torch.autograd.gradcheck(lambda p: tscl.loss(queries, leaves, p, known, 0.5), (prototypes,), atol=1e-6)
    queries.requires_grad_()
    (found,) = torch.autograd.grad(tscl.loss(queries, leaves, prototypes, known, 0.5), queries)
    held = queries.detach().clone()
    for at in ((0, 0), (2, 1), (3, 2)):
        step = torch.zeros_like(held)
        step[at] = 1e-6
        ends = [moved(held + sign * step, held, leaves, prototypes.detach(), known) for sign in (1, -1)]
        assert found[at].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def moved(
    queries: torch.Tensor, held: torch.Tensor, leaves: torch.Tensor, prototypes: torch.Tensor, known: tscl.Levels
) -> float:
    """Return the loss of queries among candidates that stayed where they were, query by query."""
    total = 0.0
    for at in range(len(queries)):
        rows = held.clone()
        rows[at] = queries[at]
        # The row among the candidates is the moved one here; its own cosine is 1 in any place, as it is when held.
        one = _single(rows, held, at, leaves, prototypes, known)
        total += one
    return total / len(queries)


def _single(
    rows: torch.Tensor, held: torch.Tensor, at: int, leaves: torch.Tensor, prototypes: torch.Tensor, known: tscl.Levels
) -> float:
    candidates = torch.nn.functional.normalize(torch.cat([held, prototypes]), dim=1)
    nodes = torch.cat([known.nodes[leaves], torch.arange(len(prototypes))])
    alike = torch.nn.functional.normalize(rows[at], dim=0) @ candidates.T / 0.5
    found, leaf = 0.0, leaves[at]
    for positive, negative in zip(known.positives[:, leaf][:, nodes], known.negatives[:, leaf][:, nodes], strict=True):
        if positive.any() and negative.any():
            mean = alike[positive].mean()
            found += float(torch.logaddexp(mean, alike[negative].logsumexp(0)) - mean)
    return found / float(known.depths[leaf])


def test_a_level_without_positives_adds_nothing() -> None:
    """Three nodes in a row above one leaf: the middle one has no kin but itself, whose prototype is taken away here."""
    tree = Tree.parse("4 -1 none\n0 4 human\n3 4 none\n1 3 a\n2 3 b\n")
    queries, leaves, prototypes = batch(tree, n=5)
    known = levels(tree)
    empty = known._replace(positives=known.positives.clone())
    empty.positives[1] = False
    whole, less = (tscl.loss(queries, leaves, prototypes, one, T) for one in (known, empty))
    assert less < whole
    only = known._replace(positives=known.positives[:1], negatives=known.negatives[:1])
    assert less.item() == pytest.approx(tscl.loss(queries, leaves, prototypes, only, T).item(), abs=1e-12)


def test_worked_out_by_hand() -> None:
    """One query on class a of a star of two; prototypes at cosines 1 and 0; T = 1: mean of kin 1, others exp(0)."""
    tree = Tree.star("ab")
    queries, prototypes = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    found = tscl.loss(queries, torch.tensor([0]), prototypes, tscl.Levels.of(tree), 1.0)
    assert found.item() == pytest.approx(np.log(np.e + 1) - 1, abs=1e-6)
    released = tscl.loss(queries, torch.tensor([0]), prototypes, tscl.Levels.of(tree), 1.0, official_mask=True)
    assert released.item() == pytest.approx(np.log(np.e + 1 + 2) - 1, abs=1e-6)  # two that are no negatives
