"""The deterministic judge: what a language model does for MMDT, by rules, in the form of what that model says.

A response is brought to plain words: lower case, no articles and punctuation, numbers in digits, single objects,
colours and sides under one name each. Of a count the judge writes `object: number` pairs; of all else it says Yes
where the answer's word is there and no other word of its list, else No. Its prompt would be the official one; it
reads the same four things.

Source: ours, in the place of Llama-3-8B-Instruct (AI-secure/MMDT at 68be1c8,
mmdt/perspectives/ood/eval_image_to_text.py).
"""

import re
from collections.abc import Iterable

from shiftbench.systems.mmdt.datasets import _words
from shiftbench.systems.mmdt.metrics import _answers

_SAME = {
    **{word: str(number) for number, word in enumerate(_words.NUMBERS)},
    "no": "0",
    "violet": "purple",
    "turquoise": "cyan",
    "over": "above",
    "under": "below",
    "beneath": "below",
    "kitten": "cat",
    "kittens": "cat",
    "puppy": "dog",
    "puppies": "dog",
    "toad": "frog",
    "toadstool": "mushroom",
}
_ARTICLES = {"a", "an", "the"}
_LISTS = {"identification": tuple(_words.KINDS), "attribute": tuple(_words.COLOURS), "spatial": _words.SIDES}


def plain(text: str) -> list[str]:
    """Return a text's words, each under one name.

    Example:
        >>> plain("There are Two Cats, and a puppy.")
        ['there', 'are', '2', 'cat', 'and', 'dog']
    """
    words = re.findall(r"\w+", text.lower())
    return [_SAME.get(_words.one(word), _words.one(word)) for word in words if word not in _ARTICLES]


def say(task: str, answer: str, response: str) -> str:
    """Return what the judge says of a response: pairs for a count, Yes or No for all else."""
    words = plain(response)
    if task == "count":
        return _pairs(words, _answers.wanted(answer))
    named = {one for one in _LISTS[task] if one in words}
    return "Yes" if named == set(plain(answer)) else "No"


def verdict(task: str, answer: str, response: str) -> str:
    """Return yes or no by MMDT's rule on what the judge says."""
    return "yes" if _answers.right(task, answer, say(task, answer, response)) else "no"


def _pairs(words: list[str], objects: Iterable[str]) -> str:
    """Return the number before each object, as the official parser reads it; an object without one is left out."""
    before = dict(zip(words[1:], words, strict=False))
    return ", ".join(f"{name}: {before[name]}" for name in objects if before.get(name, "").isdigit())
