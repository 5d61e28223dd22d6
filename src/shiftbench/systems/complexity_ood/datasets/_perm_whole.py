"""Words of permutations whose every step is seen: an arrangement of {1, ..., 5}, then transpositions of neighbours.

`perm_word` asks for one element, which most steps leave where it is. Here the question begins with an arrangement of
all five, and the answer is the arrangement behind the last step: each step changes it. `s1` exchanges what stands at
the first and second place, and so on up to `s4`. Words are those of `_perm_word.py`: reduced, so that c is the fewest
steps.

Source: as `_perm_word.py`; ours.
"""

import itertools

from shiftbench.base.rng import RandomStream
from shiftbench.systems.complexity_ood.datasets import _perm_word
from shiftbench.systems.complexity_ood.datasets._items import END, Item, Program, lay_out, random_below, values_by_slot

STARTS = tuple(" ".join(one) for one in itertools.permutations("12345"))
VOCABULARY = _perm_word.VOCABULARY
GRADERS = ("exact",)
pairs, fewest = _perm_word.pairs, _perm_word.fewest


def draw(rng: RandomStream, most: int, slots: int) -> Program:
    """A program; each step lengthens the permutation."""
    return _perm_word.draw(rng, most, slots) | {"start": STARTS[random_below(rng, len(STARTS))]}


def item(program: Program, complexity: int) -> Item:
    """The item of a complexity."""
    steps, places = program["steps"][:complexity], program["places"]
    values = list(itertools.accumulate(steps, swap, initial=program["start"]))
    text = " ".join([program["start"], *lay_out(steps, places), END])
    slots = values_by_slot(program["start"], values[1:], places)
    return Item(text, values[-1], tuple(values[1:]), slots)


def swap(arrangement: str, step: str) -> str:
    """The arrangement behind a step.

    Example:
        >>> swap("3 1 5 2 4", "s2")
        '3 5 1 2 4'
    """
    words, place = arrangement.split(), int(step[1:])
    words[place - 1 : place + 1] = words[place], words[place - 1]
    return " ".join(words)
