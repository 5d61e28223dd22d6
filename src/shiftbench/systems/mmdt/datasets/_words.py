"""Objects of scenes, the questions about them, and the texts that answer these.

A question is read back by its words (`read`), an answer put into words (`said`). Official questions are behind the
hub's data; the words that follow each of them are the repository's (`_ood.SUFFIXES`).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from shiftbench.base.errors import DataError
from shiftbench.systems.mmdt.metrics import _ood

KINDS = {
    "apple": "1f34e",
    "balloon": "1f388",
    "banana": "1f34c",
    "bell": "1f514",
    "bus": "1f68c",
    "cat": "1f431",
    "crown": "1f451",
    "dog": "1f436",
    "fish": "1f41f",
    "frog": "1f438",
    "guitar": "1f3b8",
    "house": "1f3e0",
    "key": "1f511",
    "mushroom": "1f344",
    "star": "2b50",
    "tree": "1f332",
}
"""Objects, and the emoji that draws each."""
COLOURS = {
    "red": (235, 60, 50),
    "yellow": (240, 215, 50),
    "green": (60, 200, 70),
    "cyan": (60, 205, 220),
    "blue": (70, 90, 245),
    "purple": (205, 70, 220),
}
SIDES = ("left", "right", "above", "below")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
MOST = 4
"""Objects of a scene, at most."""
_PLURALS = {"bus": "buses", "fish": "fish"}

QUESTIONS = {
    "identification": "What is the object in the image?",
    "attribute": "What is the color of the {0}?",
    "count": "How many {0} and how many {1} are there in the image?",
    "spatial": "Where is the {0} in relation to the {1}?",
}
_PATTERNS = {
    "identification": re.compile(r"what is the object in the image"),
    "attribute": re.compile(r"what is the color of the (\w+)"),
    "count": re.compile(r"how many (\w+) and how many (\w+) are there"),
    "spatial": re.compile(r"where is the (\w+) in relation to the (\w+)"),
}
_PLACES = {"left": "to the left of", "right": "to the right of"}


class Question(NamedTuple):
    """A question: its task, and the objects that it is about."""

    task: str
    names: tuple[str, ...]


def many(name: str, number: int = 2) -> str:
    """Name of an object for a count: the plural unless it is one."""
    return name if number == 1 else _PLURALS.get(name, f"{name}s")


def one(name: str) -> str:
    """Singular of an object's name; an unknown word stays as it is."""
    return _SINGLE.get(name, name)


_SINGLE = {many(name): name for name in KINDS}


def question(query: Question) -> str:
    """A question as a model gets it, with the text that the repository adds."""
    names = [many(name) for name in query.names] if query.task == "count" else query.names
    return QUESTIONS[query.task].format(*names) + _ood.SUFFIXES[query.task]


def read(text: str) -> Question:
    """The parsed question.

    Raises:
        DataError: it is none of the four.
    """
    for task, words in _PATTERNS.items():
        match = words.search(text.lower())
        if match:
            return Question(task, tuple(one(name) for name in match.groups()))
    raise DataError(f"the question {text[:60]!r} is none that scenes are asked")


def answer_text(query: Question, answers: Sequence[str | int]) -> str:
    """The text of an answer: a name, a colour, a side, or a number for each object."""
    first = answers[0]
    if query.task == "identification":
        return f"The object is a {first}."
    if query.task == "attribute":
        return f"The {query.names[0]} is {first}."
    if query.task == "spatial":
        place = _PLACES.get(str(first), first)
        return f"The {query.names[0]} is {place} the {query.names[1]}."
    parts = [count_in_words(name, int(number)) for name, number in zip(query.names, answers, strict=False)]
    return f"There are {' and '.join(parts)}."


def count_in_words(name: str, number: int) -> str:
    """A number of objects in words."""
    return f"{NUMBERS[number]} {many(name, number)}"
