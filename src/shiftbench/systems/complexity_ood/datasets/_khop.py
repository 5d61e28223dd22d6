"""Chains of relations: twelve facts, each a node and the one that it points to, a node, and as many hops as steps.

A question is `11 14 13 12 ... : 11 hop . hop . =`: facts in any order, then the node where it begins. The chain that is
asked for is as long as the largest complexity at all complexities, the rest of the facts are distractors elsewhere, and
no node is on it twice: nothing but the hops says how far to go.

Source: ours; chains as in CLUTRR (Sinha et al. 2019, arXiv:1908.06177), without the language.
"""

import itertools

from shiftbench.base.rng import RandomStream
from shiftbench.systems.complexity_ood.datasets._items import END, NOOP, Item, Program, lay_out, order, values_by_slot

FACTS = 12
NODES = tuple(map(str, range(11, 29)))
"""Eighteen names, numbers so that the last number of a text is an answer."""
HOP, COLON = "hop", ":"
STARTS: tuple[str, ...] = ()
VOCABULARY = (*NODES, HOP, COLON, NOOP, END)
GRADERS = ("number",)


def draw(rng: RandomStream, most: int, slots: int) -> Program:
    """A program: a chain of `most` facts, distractors from the nodes outside of it, in any order."""
    names = [NODES[at] for at in rng.choice(len(NODES))]
    chain, others = names[: most + 1], names[most + 1 :]
    facts = list(itertools.pairwise(chain))
    targets = rng.integers(0, len(others), FACTS - most)
    for head, target in zip(others, targets, strict=False):
        to = others[int(target)]
        facts.append((head, to if to != head else chain[-1]))
    shuffled_facts = [list(facts[at]) for at in rng.choice(len(facts))]
    return {"start": chain[0], "facts": shuffled_facts, "steps": [HOP] * most, "places": order(rng, slots)}


def item(program: Program, complexity: int) -> Item:
    """The item of a complexity."""
    points = dict(program["facts"])
    hops = itertools.accumulate(range(complexity), lambda node, _: points[node], initial=program["start"])
    values, places = list(hops), program["places"]
    facts = [name for fact in program["facts"] for name in fact]
    words = lay_out(program["steps"][:complexity], places)
    text = " ".join([*facts, COLON, program["start"], *words, END])
    slots = values_by_slot(program["start"], values[1:], places)
    return Item(text, values[-1], tuple(values[1:]), slots)


def pairs(program: Program, complexity: int) -> list[tuple[str, ...]]:
    """No pairs: all steps are alike."""
    return []
