"""Shakespearean prompts: words of plain English become those of a play, and what describes a thing goes behind it.

Two kinds of places: words of a lexicon (`LEXICON`), and a number or colour before its noun ("red cat", "cat red").
Levels are the share of the places that change; with any, the prompt opens with "Prithee, show thou me". A stronger
severity keeps the changes of a weaker one.

Source: the style `Shake_` of MMDT, arXiv 2503.14827, whose prompts are on the hub and were written by a language
model; the lexicon is ours. Takes one 16-bit word, then one raw word per place.
"""

import re

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _texts
from shiftbench.systems.mmdt.datasets import _words

FIELD = "text"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
OPENING = "Prithee, show thou me "
LEXICON = {
    "picture": "portraiture",
    "that is": "which doth seem",
    "on the left of": "at the sinister hand of",
    "on the right of": "at the dexter hand of",
    "above": "aloft o'er",
    "over": "o'er",
    "below": "aneath",
    "beneath": "'neath",
    "under": "'neath",
    "between": "'twixt",
    "larger": "mightier",
    "smaller": "meaner",
    "one": "a lone",
    "two": "twain",
    "three": "thrice-told",
    "red": "sanguine",
    "yellow": "saffron",
    "green": "verdant",
    "blue": "azure",
    "purple": "tyrian",
    "dog": "hound",
    "dogs": "hounds",
    "cat": "grimalkin",
    "cats": "grimalkins",
    "frog": "paddock",
    "frogs": "paddocks",
    "house": "habitation",
    "houses": "habitations",
    "crown": "diadem",
    "crowns": "diadems",
    "guitar": "lute",
    "guitars": "lutes",
}
_MODIFIERS = "|".join((*_words.NUMBERS, *_words.COLOURS))
_NOUNS = "|".join(sorted((_words.many(name, n) for name in _words.KINDS for n in (1, 2)), key=len))
_PAIR = re.compile(rf"\b({_MODIFIERS}) ({_NOUNS})\b")
_LEXICAL = re.compile("|".join(rf"\b{one}\b" for one in sorted(LEXICON, key=lambda word: -len(word))))


def apply(value: str, severity: float, rng: RandomStream) -> str:
    """A prompt in older words and another order.

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    places = [*_PAIR.finditer(value), *_LEXICAL.finditer(value)]
    chosen = set(_texts.touched(share, len(places), rng)) if severity else set()
    if not chosen:
        return value
    text = value
    order = sorted(chosen, key=lambda at: (places[at].start(), at >= len(_PAIR.findall(value))))
    for at in reversed(order):  # from the end, so that places before stay where they are
        text = _replace(text, places[at])
    return OPENING + text[:1].lower() + text[1:]


def _replace(text: str, place: re.Match[str]) -> str:
    """Change a place: a word by the lexicon; a pair of words, as they read by now, in the other order."""
    start, end = place.span()
    if place.re is _LEXICAL:
        return text[:start] + LEXICON[place[0]] + text[end:]
    first, second = (place.group(number) for number in (1, 2))
    rest = text[start:]
    for one in (first, LEXICON.get(first, first)):
        for other in (second, LEXICON.get(second, second)):
            if rest.startswith(f"{one} {other}"):
                whole = f"{one} {other}"
                return f"{text[:start]}{other} {one}{rest[len(whole) :]}"
    return text
