"""Shared parts of all generators: the form of an item, and slots that hold its steps among no-ops.

A *program* is a JSON object from which the items of complexity 1 to `most` follow: its first c steps are the item of
complexity c, so that a curve over c is one program that grows. Steps keep their order and stand at the first c of
`places`, an order of the slots; all other slots hold NOOP. So |x| is that of the slots, whatever c is.

A generator is a module with

    STARTS                                  words that a program may begin with; () where it has one beginning only
    VOCABULARY                              its words, NOOP and END included
    GRADERS                                 how its answers are judged
    draw(rng, most, slots) -> program       of `most` steps, of which none is collapsible with its neighbour
    item(program, complexity) -> Item       by the reference program
    pairs(program, complexity) -> tuples    the neighbouring steps, for contrast sets of new combinations

Source: the protocol of arXiv 2510.06274 as reconstructed in this system's README.md; ours.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from shiftbench.base.rng import RandomStream

NOOP = "."
"""An operation that changes nothing (+0, *1), with a word of its own."""
END = "="
Program = dict[str, Any]


class Item(NamedTuple):
    """A question of known complexity.

    Attributes:
        text: the question.
        answer: its last value.
        steps: the value after each of its c steps.
        slots: the value after each slot, no-ops included.
    """

    text: str
    answer: str
    steps: tuple[str, ...]
    slots: tuple[str, ...]


def lay_out(steps: Sequence[str], places: Sequence[int]) -> list[str]:
    """The words of all slots: steps in their order at as many of the places, no-ops elsewhere.

    Example:
        >>> lay_out(["+4", "*3"], [3, 0, 1, 2])
        ['+4', '.', '.', '*3']
    """
    words = [NOOP] * len(places)
    for step, place in zip(steps, sorted(places[: len(steps)]), strict=True):
        words[place] = step
    return words


def values_by_slot(start: str, values: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    """The value after each slot.

    Args:
        start: the value before the first.
        values: after each step.
        places: an order of the slots.
    """
    positions = sorted(places[: len(values)])
    states = (start, *values)
    return tuple(states[sum(place <= slot for place in positions)] for slot in range(len(places)))


def random_below(rng: RandomStream, count: int) -> int:
    """A number in [0, count); takes one word."""
    return int(rng.raw(1)[0] % count)


def order(rng: RandomStream, slots: int) -> list[int]:
    """An order of the slots; takes `slots` words."""
    return [int(place) for place in rng.choice(slots)]
