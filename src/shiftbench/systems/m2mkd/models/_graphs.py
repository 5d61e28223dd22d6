"""Graph priors: which latents of a circuit are close to each other before anything is learned, and vectors that say so.

    scale_free          Barabasi and Albert 1999: nodes come one by one, each with m edges to nodes of many edges
    planted_partition   l groups of k nodes; edges with p_in within a group, p_out between groups
    ring_of_cliques     cliques of k nodes, each tied to the next by one edge
    erdos_renyi         each edge with p

Source: NAC (Weiss et al., "Neural Attentive Circuits", NeurIPS 2022), whose code takes networkx's generators;
`create_graph` and `preset_graph_signatures` in `nacs/neural_compilers/model/nc/seeding.py` of kamanphoebe/m2mKD. Random
edges are ours, keyed by a seed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream

PRIORS = ("scale_free", "planted_partition", "ring_of_cliques", "erdos_renyi")
Adjacency = NDArray[np.bool_]


def adjacency(prior: str, nodes: int, options: Mapping[str, Any], rng: RandomStream) -> Adjacency:
    """A symmetric adjacency without loops, bool (nodes, nodes).

    Args:
        prior: one of PRIORS.
        nodes: how many.
        options: `m`; `groups`, `p_in`, `p_out`; `groups`; `p`.
        rng: random words of the graph.

    Raises:
        ParamsError: another prior, or nodes are no multiple of the groups.
    """
    if prior not in PRIORS:
        raise ParamsError(f"prior is {prior!r}; {suggest(prior, PRIORS)}")
    if prior == "scale_free":
        return _scale_free(nodes, options["m"], rng)
    if prior == "erdos_renyi":
        return _sample(np.full((nodes, nodes), options["p"]), rng)
    groups = options["groups"]
    if nodes % groups:
        raise ParamsError(f"{nodes} latents are no multiple of {groups} groups")
    of = np.arange(nodes) // (nodes // groups)
    together = of[:, None] == of
    if prior == "planted_partition":
        return _sample(np.where(together, options["p_in"], options["p_out"]), rng)
    return _ring(together, nodes, groups)


def _sample(probabilities: NDArray[np.float64], rng: RandomStream) -> Adjacency:
    nodes = len(probabilities)
    upper = np.triu(rng.uniform(nodes * nodes).reshape(nodes, nodes) < probabilities, 1)
    graph: Adjacency = upper | upper.T
    return graph


def _ring(together: Adjacency, nodes: int, groups: int) -> Adjacency:
    """As networkx: node 0 of a clique is tied to node 1 of the next one."""
    graph = together & ~np.eye(nodes, dtype=bool)
    size = nodes // groups
    for group in range(groups):
        tie = group * size + 1, (group + 1) * size % nodes
        graph[tie] = graph[tie[::-1]] = True
    return graph


def _scale_free(nodes: int, m: int, rng: RandomStream) -> Adjacency:
    """As networkx: from a star of m + 1 nodes, each new node picks m others by their number of edges."""
    graph = np.zeros((nodes, nodes), dtype=bool)
    graph[0, 1 : m + 1] = graph[1 : m + 1, 0] = True
    ends = [0] * m + list(range(1, m + 1))
    for node in range(m + 1, nodes):
        targets: set[int] = set()
        while len(targets) < m:
            targets.add(ends[int(rng.integers(0, len(ends), 1)[0])])
        others = sorted(targets)
        graph[node, others] = graph[others, node] = True
        ends += [*others, *[node] * m]
    return graph


def signatures(
    graph: Adjacency, width: int, truncation: float = 0.8, steps: int = 1000, lr: float = 0.001
) -> torch.Tensor:
    """Vectors (nodes, width) whose cosine distances fall below `truncation` where the graph has an edge.

    Orthogonal vectors (torch's generator) are moved by Adam until mean over pairs of max(truncation, d) for edges and
    max(-truncation, -d) for the others is small.
    """
    edge = torch.from_numpy(graph)
    start = torch.nn.init.orthogonal_(torch.empty(len(graph), width))
    vectors = start.requires_grad_()
    update = torch.optim.Adam([vectors], lr)
    for _ in range(steps):
        far = distances(vectors, vectors)
        value = torch.where(edge, far.clamp(min=truncation), (-far).clamp(min=-truncation)).mean()
        update.zero_grad()
        value.backward()
        update.step()
    return vectors.detach()


def distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """1 - cosine of rows (u, d) and (v, d): (u, v)."""
    return 1 - F.normalize(one, dim=-1) @ F.normalize(other, dim=-1).T
