"""Text edits: letters and words are left out, added, swapped or changed.

A stronger severity keeps the edits of a weaker one and adds to them. Texts are edited in units: a character with the
combining marks on it (`_texts`).
"""

import math
import re
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels, _texts

Inner = Annotated[bool, Field(description="only letters inside words of four letters or more; false: any letter")]


@declare.text_shift(_levels.Linear((0.05, 0.1, 0.15, 0.2, 0.25), zero=0.0), title="Deleted characters")
def char_delete(text: str, share: float, rng: RandomStream, *, inner: Inner = True) -> str:
    """Character deletion: letters inside words are left out.

    Source: Pruthi et al. 2019, https://arxiv.org/abs/1905.11268, section 2 ("drop": an internal letter of a word of
    four letters or more); the levels are the rates of Qiu et al. 2022 (MMRobustness),
    https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
    is the share of the letters inside words that is dropped (there that of words with a drop), and a stronger
    severity drops what a weaker one did and more.

    Takes one 16-bit word, then one raw word per letter that may be dropped.
    """
    typed = _texts.units(text)
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    for index in _texts.touched(share, len(places), rng):
        typed[places[index]] = ""
    return "".join(typed)


@declare.text_shift(_levels.Linear((0.05, 0.1, 0.15, 0.2, 0.25), zero=0.0), title="Inserted characters")
def char_insert(text: str, share: float, rng: RandomStream, *, inner: Inner = True) -> str:
    """Character insertion: further letters come into words.

    Source: Pruthi et al. 2019, https://arxiv.org/abs/1905.11268, section 2 ("add": a letter at an internal
    position of a word of four letters or more); the levels are the rates of Qiu et al. 2022 (MMRobustness),
    https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
    counts insertions per letter inside words, one at most behind each (there words with one); the new letter is one
    of the text's own, so that any script works; a stronger severity keeps what a weaker one inserted and adds to
    it.

    Takes one 16-bit word, one raw word per letter behind which one may come, then one 16-bit word for each
    (which letter).
    """
    typed = _texts.units(text)
    own = [typed[place][0] for place in _texts.letters(typed)]
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    order = _texts.touched(share, len(places), rng)
    picks = rng.uniform(len(places))
    for index in order:
        before = typed[places[index]]
        typed[places[index]] += _texts.cased(_texts.pick(own, float(picks[index])), before[0])
    return "".join(typed)


@declare.text_shift(_levels.Linear((0.05, 0.1, 0.15, 0.2, 0.25), zero=0.0), title="Swapped characters")
def char_swap(text: str, share: float, rng: RandomStream, *, inner: Inner = True) -> str:
    """Character swaps: two neighbouring letters inside a word change places.

    Source: Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173, section 3.2 ("swap": two letters, not the
    first and not the last, of a word of four letters or more), also in Pruthi et al. 2019,
    https://arxiv.org/abs/1905.11268; the levels are the rates of Qiu et al. 2022 (MMRobustness),
    https://arxiv.org/abs/2212.08044, 0.05 x level in https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate
    is the share of the letters inside words that change places (there that of words with a swap), no letter
    moves twice, equal letters are not swapped, and a stronger severity keeps the swaps of a weaker one and adds to
    them while there are partners.

    Takes one 16-bit word, then one raw word per pair of unequal neighbours.
    """
    typed = _texts.units(text)
    places = _texts.inside(typed) if inner else _texts.letters(typed)
    size = math.floor(share * len(places) / 2 + float(rng.uniform()))
    for place in _apart(_pairs(typed, places), rng)[:size]:
        typed[place], typed[place + 1] = typed[place + 1], typed[place]
    return "".join(typed)


def _pairs(typed: list[str], places: list[int]) -> list[int]:
    """The first of each two unequal neighbours."""
    pairs = pairwise(places)
    return [one for one, two in pairs if two == one + 1 and typed[one] != typed[two]]


def _apart(pairs: list[int], rng: RandomStream) -> list[int]:
    """Pairs in random order, those left out that overlap with one before."""
    taken: set[int] = set()
    kept = []
    for place in (pairs[index] for index in rng.choice(len(pairs))):
        if not taken & {place, place + 1}:
            taken |= {place, place + 1}
            kept.append(place)
    return kept


@declare.text_shift(_levels.Linear((0.05, 0.1, 0.15, 0.2, 0.25), zero=0.0), title="Flipped case")
def case_flip(text: str, share: float, rng: RandomStream) -> str:
    """Case flips: small letters become capitals, and capitals small.

    Source: the random upper-casing of NL-Augmenter (Dhole et al. 2021, https://arxiv.org/abs/2112.02721),
    `random_upper_transformation` in https://github.com/GEM-benchmark/NL-Augmenter, whose share of 0.1 is level 2.
    Differs: the share is of the letters that have a case (there of all characters), capitals become small, too,
    and a stronger severity keeps the flips of a weaker one and adds to them. Letters whose other case takes two
    characters (German sharp s) stay.

    Takes one 16-bit word, then one raw word per letter that has a case.
    """
    typed = list(text)
    places = [place for place, character in enumerate(typed) if _has_case(character)]
    for index in _texts.touched(share, len(places), rng):
        typed[places[index]] = typed[places[index]].swapcase()
    return "".join(typed)


def _has_case(character: str) -> bool:
    other = character.swapcase()
    return other != character and len(other) == 1


@declare.text_shift(
    _levels.Linear(((0.05, 0.025), (0.1, 0.05), (0.15, 0.075), (0.2, 0.1), (0.25, 0.125)), zero=(0.0, 0.0))
)
def whitespace(text: str, removed: float, added: float, rng: RandomStream) -> str:
    """Whitespace: words run together, and words are torn apart.

    Source: the whitespace perturbation of NL-Augmenter (Dhole et al. 2021, https://arxiv.org/abs/2112.02721),
    `whitespace_perturbation` in https://github.com/GEM-benchmark/NL-Augmenter, which removes a tenth of the
    spaces and adds one behind a twentieth of the characters: level 2. Levels are (share of the gaps between words
    that is removed, share of the places between two letters where a space is put). Differs: a gap goes whole,
    however many spaces it has; none is put beside punctuation or inside an emoji; a stronger severity
    keeps the changes of a weaker one and adds to them.

    Takes one 16-bit word and one raw word per gap, then the same per place between two letters.
    """
    typed = _texts.units(text)
    shape = _texts.shape(typed)
    gaps = [gap.span() for gap in re.finditer("(?<=[a.]) +(?=[a.])", shape)]
    seams = [seam.start() for seam in re.finditer("a(?=a)", shape)]
    for index in _texts.touched(removed, len(gaps), rng):
        start, end = gaps[index]
        typed[start:end] = [""] * (end - start)
    for index in _texts.touched(added, len(seams), rng):
        typed[seams[index]] += " "
    return "".join(typed)


@declare.text_shift(_levels.Linear((0.05, 0.1, 0.15, 0.2, 0.25), zero=0.0), title="Dropped words")
def word_drop(text: str, share: float, rng: RandomStream) -> str:
    """Word drop: words are left out.

    Source: "random deletion" of Wei & Zou 2019 (EDA), https://arxiv.org/abs/1901.11196, section 2; the levels are the
    rates of Qiu et al. 2022 (MMRobustness), https://arxiv.org/abs/2212.08044, 0.05 x level in
    https://github.com/Jielin-Qiu/MM_Robustness. Differs: the rate is the share of a text's words that is dropped
    (there each word's chance), the spaces of those that stay are kept, and a stronger severity drops what a
    weaker one did and more. A word is what stands between spaces; one always stays.

    Takes one 16-bit word, then one raw word per word.
    """
    parts = re.split(r"(\S+)", text)
    gaps, spoken = parts[::2], parts[1::2]
    dropped = _texts.touched(share, len(spoken), rng)[: max(len(spoken) - 1, 0)]
    kept = sorted(set(range(len(spoken))) - set(dropped))
    if kept:
        gaps[kept[0]] = gaps[0]  # a text begins as it did
    return "".join(gaps[index] + spoken[index] for index in kept) + gaps[-1]


@declare.text_shift(_levels.Linear((0.1, 0.2, 0.3, 0.4, 0.5), zero=0.0))
def word_order(text: str, share: float, rng: RandomStream) -> str:
    """Word order: pairs of words change places.

    Source: "random swap" of Wei & Zou 2019 (EDA), https://arxiv.org/abs/1901.11196, section 2; Qiu et al. 2022
    (MMRobustness), https://arxiv.org/abs/2212.08044, swap 0.05 x level pairs per word in
    https://github.com/Jielin-Qiu/MM_Robustness. Levels are the share of the words that move, two for each swap.
    Differs: no word moves twice, spaces stay where they are, and a stronger severity keeps the swaps of a weaker one
    and adds to them. A word is what stands between spaces.

    Takes one 16-bit word, then one raw word per word.
    """
    parts = re.split(r"(\S+)", text)  # spaces and words in turn
    count = len(parts) // 2
    size = math.floor(share * count / 2 + float(rng.uniform()))
    order = 2 * rng.choice(count) + 1
    pairs = zip(order[::2].tolist(), order[1::2].tolist(), strict=False)
    for one, two in list(pairs)[:size]:
        parts[one], parts[two] = parts[two], parts[one]
    return "".join(parts)
