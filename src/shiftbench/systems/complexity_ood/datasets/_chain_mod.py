"""Chains of digit arithmetic modulo 10: a start digit, then operations `+k` (k of 1 to 9) and `*m` (m of 3, 7, 9).

Neighbours of one kind are one step (`+2 +3` is `+5`), so kinds alternate. Multipliers are units modulo 10: no step
loses the state. A whole chain is still an affine map, which two operations can compute; see `fewest`.

Source: ours, after the specification's pilot.
"""

import itertools

from shiftbench.base.rng import RandomStream
from shiftbench.systems.complexity_ood.datasets._items import (
    END,
    NOOP,
    Item,
    Program,
    lay_out,
    order,
    random_below,
    values_by_slot,
)

SUMS = tuple(f"+{k}" for k in range(1, 10))
PRODUCTS = ("*3", "*7", "*9")
STARTS = tuple(map(str, range(10)))
VOCABULARY = (*STARTS, *SUMS, *PRODUCTS, NOOP, END)
GRADERS = ("number",)


def draw(rng: RandomStream, most: int, slots: int) -> Program:
    """A program; takes 2 + `most` + `slots` words."""
    start, first = STARTS[random_below(rng, 10)], random_below(rng, 2)
    kinds = [(SUMS, PRODUCTS)[(first + at) % 2] for at in range(most)]
    steps = [kind[random_below(rng, len(kind))] for kind in kinds]
    return {"start": start, "steps": steps, "places": order(rng, slots)}


def item(program: Program, complexity: int) -> Item:
    """The item of a complexity."""
    steps, places = program["steps"][:complexity], program["places"]
    values = list(itertools.accumulate(steps, compute, initial=program["start"]))
    text = " ".join([program["start"], *lay_out(steps, places), END])
    slots = values_by_slot(program["start"], values[1:], places)
    return Item(text, values[-1], tuple(values[1:]), slots)


def compute(value: str, step: str) -> str:
    """The digit that a step makes of a digit.

    Example:
        >>> compute("7", "*3")
        '1'
    """
    operand = int(step[1:])
    return str((int(value) + operand if step[0] == "+" else int(value) * operand) % 10)


def pairs(program: Program, complexity: int) -> list[tuple[str, ...]]:
    """The neighbouring steps."""
    return list(itertools.pairwise(program["steps"][:complexity]))


def fewest(program: Program, complexity: int) -> int:
    """Smallest number of operations that compute the same map of digits, by search over all shorter programs."""
    goal = _map(program["steps"][:complexity])
    for length in range(complexity):
        tries = itertools.product((*SUMS, *PRODUCTS), repeat=length)
        if any(_map(steps) == goal for steps in tries):
            return length
    return complexity


def _map(steps: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    values = STARTS
    for step in steps:
        values = tuple(compute(value, step) for value in values)
    return values
