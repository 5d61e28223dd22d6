"""What the renderer understands of a prompt: rules over plain words.

A noun of the sixteen is an object; a number word before it makes several, a colour before it paints it. Between the
first two objects stand words of a side, `between` or a size. All else is passed over, so that an object, number,
colour or place in words that the rules do not have is lost.
"""

import re
from typing import NamedTuple

from shiftbench.systems.mmdt.datasets import _words
from shiftbench.systems.mmdt.metrics import _boxes


class Wanted(NamedTuple):
    """Objects of a kind: name, how many, colour."""

    name: str
    number: int
    colour: str | None


class Understood(NamedTuple):
    """What a prompt asks for: objects, the word between the first two of a side or size, or `between`; "" : none."""

    objects: list[Wanted]
    relation: str


_NOUN = "|".join(sorted({_words.many(name, n) for name in _words.KINDS for n in (1, 2)}, key=len, reverse=True))
_OBJECT = re.compile(rf"(?:\b({'|'.join(_words.NUMBERS)}) )?(?:\b({'|'.join(_words.COLOURS)}) )?\b({_NOUN})\b")
_RELATION = re.compile(
    rf"\b(?:{'|'.join(sorted((*_boxes.WORDS, *_boxes.LARGER, *_boxes.SMALLER, 'between'), key=len, reverse=True))})\b"
)


def understood(prompt: str) -> Understood:
    """Return what the rules find in a prompt."""
    text = prompt.lower()
    objects = [
        Wanted(_words.one(noun), _words.NUMBERS.index(number) if number else 1, colour or None)
        for number, colour, noun in _OBJECT.findall(text)
    ]
    relation = _RELATION.search(text)
    return Understood(objects, relation[0] if relation and len(objects) > 1 else "")
