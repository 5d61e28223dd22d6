"""Tree-structured contrastive loss (TSCL): at each level of the tree, kin nearer than all that is not yet kin.

For a sample x of leaf c, whose path to the root is f^0 = c, f^1, ..., f^(d-1), with the cosine s and temperature t:

    l_i(x) = -log [ exp(mean_{p in P_i} s(x,p)/t) / ( exp(mean_{p in P_i} s(x,p)/t) + sum_{n in N_i} exp(s(x,n)/t) ) ]
    L(x)   = (1/d) sum_i l_i(x)

P_i are the candidates under f^i and not under f^(i-1), N_i those not under f^i. Candidates are the batch, detached (x
is among them), and one learnable prototype for each node but the root. With a star tree it is the supervised
contrastive loss with the mean inside of the exponent (DeTeCtive's).

Source: He et al. 2025 (DETree), arXiv:2510.17489, section 3, and `SimCLR_Tree` in detree/model/simclr.py of
heyongxin233/DETree. `official_mask: true` is the released rule, which multiplies logits by the mask where it should
leave them out: who is no negative adds exp(0) = 1 to the denominator, a level without positives has a positive logit
of 0, none is skipped; and the mean over x is multiplied by the depth of the tree. Here a level without positives or
without negatives adds 0, and there is no such factor, which is a constant of the learning rate.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from shiftbench.systems.detree.losses._tree import Tree


class Levels(NamedTuple):
    """A tree as the loss needs it.

    Attributes:
        positives, negatives: bool (levels, leaves, nodes), see `Tree.levels`.
        depths: float (leaves,), of each leaf.
        nodes: int (leaves,), at which place among the nodes each leaf stands.
    """

    positives: torch.Tensor
    negatives: torch.Tensor
    depths: torch.Tensor
    nodes: torch.Tensor

    @classmethod
    def of(cls, tree: Tree) -> Levels:
        """The levels of a tree."""
        positives, negatives = map(torch.from_numpy, tree.levels())
        depths = [float(len(tree.path(leaf))) for leaf in tree.names]
        places = [tree.nodes.index(leaf) for leaf in tree.names]
        return cls(positives, negatives, torch.tensor(depths), torch.tensor(places))


def loss(
    queries: torch.Tensor,
    leaves: torch.Tensor,
    prototypes: torch.Tensor,
    levels: Levels,
    temperature: float,
    *,
    official_mask: bool = False,
) -> torch.Tensor:
    """The mean over a batch, in nats.

    Args:
        queries: float (n, d), embeddings of the batch; only directions count.
        leaves: int64 (n,), the leaf of each, its place in `Tree.names`.
        prototypes: float (nodes, d), one for each node but the root.
        levels: of the tree.
        temperature: above 0.
        official_mask: the released rule, see above.
    """
    candidates = F.normalize(torch.cat([queries.detach(), prototypes]), dim=1)
    nodes = torch.cat([levels.nodes[leaves], torch.arange(len(prototypes))])
    logits = F.normalize(queries, dim=1) @ candidates.T / temperature
    positive, negative = (one[:, leaves][:, :, nodes] for one in (levels.positives, levels.negatives))
    count = positive.sum(-1)
    mean = (logits * positive).sum(-1) / count.clamp(min=1)
    others = logits * negative if official_mask else logits.masked_fill(~negative, -torch.inf)
    each = torch.cat([mean[..., None], others], dim=-1).logsumexp(-1) - mean
    counts = _counts(positive, negative, levels, leaves, official_mask=official_mask)
    total = torch.where(counts, each, 0.0).sum(0) / levels.depths[leaves]
    return total.mean() * (len(levels.positives) if official_mask else 1)


def _counts(
    positive: torch.Tensor, negative: torch.Tensor, levels: Levels, leaves: torch.Tensor, *, official_mask: bool
) -> torch.Tensor:
    """Which levels of which samples count, bool (levels, n)."""
    if official_mask:
        return torch.arange(len(levels.positives))[:, None] < levels.depths[leaves]
    return positive.any(-1) & negative.any(-1)
