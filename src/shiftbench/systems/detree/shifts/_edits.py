"""The nine attacks of DETree: where a text can be changed, what can stand there, and which share is changed.

| attack | place | becomes | share |
| --- | --- | --- | --- |
| alter_numbers | a run of digits | other digits, as many | all |
| us_to_uk_spelling | a word of the list | its British spelling | all |
| article_deletion | a, an, the and the space behind | nothing | half |
| homoglyphs_all | one of 22 letters | one that looks the same | all |
| paragraph_insertion | behind the end of a sentence | a blank line, with or without an indent | half |
| misspelling | a word of the list | one of its misspellings | all |
| first_letter_case | the first letter of a word | the other case | half |
| extra_spaces | behind a word | one space more | half |
| zero_width_space | behind a word | U+200B | three tenths |

Source: He et al. 2025 (DETree), arXiv:2510.17489; detree/utils/adversarial of heyongxin233/DETree, which follows RAID
(Dugan et al. 2024, https://arxiv.org/abs/2405.07940). The number changed is the share of the places, rounded up or down
at random (there up or down by attack). `released` has what the code does and the paper does not say: articles in lower
case alone; British spellings inside of words, too; of blank lines as many before a mark that ends a sentence as behind
one, so twice as many. Differs: extra spaces go to distinct words (there a word may get two), tokens are words of
letters and digits (there NLTK's), lists are codespell's.

Lists: a line of codespell (GPL-2.0) is `wrong->right`, or `wrong->one, two,`; only lines with one right word are taken.
Read backwards they give the misspellings of a right word and the British spelling of an American word. Of misspelt
words the 192 with the most misspellings count, which is the size of the released list. Both collections began with
Wikipedia's lists of common misspellings; the released lists are not ours to pass on.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shiftbench.base.errors import DataError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _texts

SOURCE = "codespell"
LISTS = SOURCE
MOST = 192
FILES = {"misspelling": "dictionary.txt", "us_to_uk_spelling": "dictionary_en-GB_to_en-US.txt"}
Words = Mapping[str, tuple[str, ...]]
ALIKE: dict[str, str] = {
    **dict(zip("aceiopxy", "\u0430\u0441\u0435\u0456\u043e\u0440\u0445\u0443", strict=True)),
    "A": "\u0410\u0391", "B": "\u0412\u0392", "C": "\u0421", "E": "\u0415\u0395", "H": "\u041d\u0397",
    "I": "\u0406\u0399", "K": "\u041a\u039a", "M": "\u041c\u039c", "N": "\u039d", "O": "\u041e\u039f",
    "P": "\u0420\u03a1", "T": "\u0422\u03a4", "X": "\u0425\u03a7", "Z": "\u0396",
}  # fmt: skip
"""Letter -> those of Cyrillic and Greek that look the same, as in homoglyph.py of the repository."""
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")


@dataclass(frozen=True)
class Edit:
    """A possible edit at one place: `text[start:end]` becomes one of `options`."""

    start: int
    end: int
    options: tuple[str, ...]


Places = Callable[[str, Words, bool], list[Edit]]
"""(text, list of words, as released) -> edits in order, none over another."""


def _numbers(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    return [Edit(match.start(), match.end(), _others(match.group())) for match in re.finditer(r"\d+", text)]


def _others(digits: str) -> tuple[str, ...]:
    """Runs of as many digits: up to a thousand of those that are not these, spread over all."""
    size = 10 ** len(digits)
    step = max(1, (size - 1) // 1000)
    return tuple(f"{(int(digits) + 1 + step * at) % size:0{len(digits)}d}" for at in range((size - 1) // step))


def _british(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    if not released:
        return _replacements(text, words, released)
    longest_first = sorted(words, key=len, reverse=True)
    matches = re.finditer("|".join(map(re.escape, longest_first)), text) if words else ()
    return [Edit(one.start(), one.end(), words[one.group()]) for one in matches]


def _replacements(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    pairs = ((one, words.get(one.group().lower(), ())) for one in _WORD.finditer(text))
    return [
        Edit(one.start(), one.end(), tuple(_capital(other, one.group()) for other in others))
        for one, others in pairs
        if others
    ]


def _capital(word: str, model: str) -> str:
    return word.capitalize() if model[0].isupper() else word


def _articles(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    matches = re.finditer(r"\b(?:an?|the) \b", text, re.NOFLAG if released else re.IGNORECASE)
    return [Edit(one.start(), one.end(), ("",)) for one in matches]


def _homoglyphs(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    return [Edit(at, at + 1, tuple(ALIKE[one])) for at, one in enumerate(text) if one in ALIKE]


def _paragraphs(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    ends = [one.end() for one in re.finditer(r"[.!?\u3002\uff1f\uff01](?=\s|$)", text)]
    earlier = [*(end - 1 for end in ends[1:]), len(text)] if released and ends else []
    return [Edit(at, at, ("\n\n", "\n\n  ")) for at in sorted({*ends, *earlier})]


def _first_letters(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
    places = (one.start() for one in _WORD.finditer(text) if one.group()[0].isalpha())
    swaps = ((at, text[at].swapcase()) for at in places)
    return [Edit(at, at + 1, (other,)) for at, other in swaps if other != text[at]]


def _insert_behind(string: str) -> Places:
    def places(text: str, words: Words, released: bool) -> list[Edit]:  # noqa: FBT001
        ends = [at for at, character in enumerate(text) if character == " "]
        return [Edit(at, at, (string,)) for at in [*ends, len(text)]]

    return places


ATTACKS: dict[str, tuple[Places, float]] = {
    "alter_numbers": (_numbers, 1.0),
    "us_to_uk_spelling": (_british, 1.0),
    "article_deletion": (_articles, 0.5),
    "homoglyphs_all": (_homoglyphs, 1.0),
    "paragraph_insertion": (_paragraphs, 0.5),
    "misspelling": (_replacements, 1.0),
    "first_letter_case": (_first_letters, 0.5),
    "extra_spaces": (_insert_behind(" "), 0.5),
    "zero_width_space": (_insert_behind("\u200b"), 0.3),
}
"""Attack -> its places, and the share of them that is changed."""


def edit_text(
    text: str, attack: str, severity: float, rng: RandomStream, sources: Mapping[str, Path], *, released: bool = False
) -> str:
    """A text under an attack.

    Takes one 16-bit word and one raw word per place, then one 16-bit word for each (what stands there).

    Args:
        text: any.
        attack: a key of ATTACKS.
        severity: 0 to 1, of the released share.
        rng: the text's random words.
        sources: where the lists are, where the attack reads one.
        released: as the code does it, where that is not what the paper says.

    Raises:
        DataError: the attack's list is not here.
    """
    places, share = ATTACKS[attack]
    edits = places(text, _words(attack, sources), released)
    order = _texts.touched(share * severity, len(edits), rng)
    parts = rng.uniform(len(edits))
    for number in sorted(order, reverse=True):  # from the end, so that earlier places stay where they are
        edit = edits[number]
        text = text[: edit.start] + _texts.pick(edit.options, float(parts[number])) + text[edit.end :]
    return text


def _words(attack: str, sources: Mapping[str, Path]) -> Words:
    if attack not in FILES:
        return {}
    if LISTS not in sources:
        raise DataError(f"{attack} reads the lists of {LISTS!r}, which are not here; `shiftbench fetch {LISTS}`")
    return load(sources[LISTS], attack)


@cache
def load(folder: Path, attack: str) -> dict[str, tuple[str, ...]]:
    """Word in lower case -> its replacements, sorted; read once in a process.

    Raises:
        DataError: the file is missing, or a line has another form; names it.
    """
    file = folder / FILES[attack]
    if not file.is_file():
        raise DataError(f"{file} is missing; `shiftbench fetch {SOURCE}` brings it")
    rights: dict[str, set[str]] = defaultdict(set)
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        wrong, arrow, right = line.strip().lower().partition("->")
        if not arrow:
            raise DataError(f"{file.name}, line {number}: expected `wrong->right`, found {line!r}")
        if "," not in right:
            rights[right].add(wrong)
    words = sorted(rights, key=lambda word: (-len(rights[word]), word))
    some = words[:MOST] if attack == "misspelling" else words
    return {word: tuple(sorted(rights[word])) for word in some}
