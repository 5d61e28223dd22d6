"""Words of permutations: an element of {1, ..., 5}, then transpositions of neighbours; where does it go?

`s1` exchanges what stands at the first and second place, and so on up to `s4`. Words are reduced: no shorter word gives
the same permutation, so that c is the length of the permutation, its number of inversions.

Source: ours; word problems of S_5 are complete for NC1 (Barrington 1989), so that no constant depth solves all lengths.
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

STARTS = tuple(map(str, range(1, 6)))
GENERATORS = ("s1", "s2", "s3", "s4")
VOCABULARY = (*STARTS, *GENERATORS, NOOP, END)
GRADERS = ("number",)
Permutation = tuple[int, ...]


def draw(rng: RandomStream, most: int, slots: int) -> Program:
    """A program; each step lengthens the permutation."""
    start, steps, whole = STARTS[random_below(rng, 5)], list[str](), tuple(range(5))
    while len(steps) < most:
        longer = [step for step in GENERATORS if inversions(compose(whole, step)) > len(steps)]
        steps.append(longer[random_below(rng, len(longer))])
        whole = compose(whole, steps[-1])
    return {"start": start, "steps": steps, "places": order(rng, slots)}


def item(program: Program, complexity: int) -> Item:
    """The item of a complexity."""
    steps, places = program["steps"][:complexity], program["places"]
    values = list(itertools.accumulate(steps, move, initial=program["start"]))
    text = " ".join([program["start"], *lay_out(steps, places), END])
    slots = values_by_slot(program["start"], values[1:], places)
    return Item(text, values[-1], tuple(values[1:]), slots)


def move(value: str, step: str) -> str:
    """Position to which a step moves an element.

    Example:
        >>> move("2", "s1"), move("2", "s2"), move("2", "s4")
        ('1', '3', '2')
    """
    place, element = int(step[1:]), int(value)
    return str({place: place + 1, place + 1: place}.get(element, element))


def pairs(program: Program, complexity: int) -> list[tuple[str, ...]]:
    """The neighbouring steps."""
    return list(itertools.pairwise(program["steps"][:complexity]))


def compose(permutation: Permutation, step: str) -> Permutation:
    """The permutation (of elements from 0) after one more step."""
    return tuple(int(move(str(value + 1), step)) - 1 for value in permutation)


def inversions(permutation: Permutation) -> int:
    """The number of pairs in the wrong order: the fewest transpositions of neighbours that make it."""
    return sum(a > b for a, b in itertools.combinations(permutation, 2))


def fewest(program: Program, complexity: int) -> int:
    """Smallest number of generators that make the same permutation, by search over all shorter words."""
    identity = tuple(range(5))
    goal = _product(identity, program["steps"][:complexity])
    for length in range(complexity):
        tries = itertools.product(GENERATORS, repeat=length)
        if any(_product(identity, list(steps)) == goal for steps in tries):
            return length
    return complexity


def _product(permutation: Permutation, steps: list[str]) -> Permutation:
    for step in steps:
        permutation = compose(permutation, step)
    return permutation
