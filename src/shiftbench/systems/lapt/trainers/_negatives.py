"""Negative labels: words of WordNet that lie far from all ID names.

    q(w) = the entry at place int(0.95 * C) of w's cosines to the C ID names, ascending; the smallest q are taken

Candidates are WordNet's nouns and adjectives, without those that are an ID name and without adjectives that are nouns
as well. Adjectives and nouns are taken in proportion to their candidates, int(N * adjectives / candidates) adjectives
first.

Source: Jiang et al., NegLabel, ICLR 2024 (arXiv:2403.20078), section 3.1; the released code of LAPT
(YBZh/OpenOOD-VLM, `clip_for_wordnet_prepare` and `get_selected_ood_text_list`), whose lists have 119,031 nouns and
21,526 adjectives. WordNet 3.0's index files, which are read here, have 117,798 and 21,479; underscores are spaces.
"""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base import rng
from shiftbench.base.errors import DataError, ParamsError

SOURCE = "wordnet"
NOUN = "The nice {}."
ADJECTIVE = "This is a {} photo."
QUANTILE = 0.95
Floats = NDArray[np.floating]


def candidates(folder: Path, names: Collection[str], *, most: int = 0) -> tuple[list[str], list[str]]:
    """Nouns and adjectives that may be negative labels, sorted.

    Args:
        folder: holds WordNet's `index.noun` and `index.adj`.
        names: ID names, and whatever else is no candidate.
        most: of each kind the same share is kept, by the hash of the word, so many in all at most; 0: all.
    """
    nouns = sorted(set(_lemmas(folder / "index.noun")) - set(names))
    others = sorted(adjectives(folder) - set(names))
    if 0 < most < len(nouns) + len(others):
        share = most / (len(nouns) + len(others))
        nouns, others = (_fewer(words, int(share * len(words))) for words in (nouns, others))
    return nouns, others


def adjectives(folder: Path) -> set[str]:
    """WordNet's adjectives that are no nouns."""
    return set(_lemmas(folder / "index.adj")) - set(_lemmas(folder / "index.noun"))


def prompt(word: str, *, adjective: bool) -> str:
    """The hand-written prompt of a word.

    Example:
        >>> prompt("zebra", adjective=False), prompt("green", adjective=True)
        ('The nice zebra.', 'This is a green photo.')
    """
    return (ADJECTIVE if adjective else NOUN).format(word)


def _lemmas(file: Path) -> list[str]:
    if not file.is_file():
        raise DataError(f"{file} is missing; `shiftbench fetch wordnet` brings it")
    lines = file.read_text("ascii").splitlines()
    return [line.split(" ", 1)[0].replace("_", " ") for line in lines if line[:1] not in ("", " ")]


def _fewer(words: list[str], count: int) -> list[str]:
    return sorted(sorted(words, key=lambda word: rng.unit_hash("candidate", word))[:count])


def distances(cosines: Floats) -> Floats:
    """The distance q of each candidate, (n,), from its cosines to the ID names (n, C)."""
    return np.sort(cosines, axis=1)[:, int(cosines.shape[1] * QUANTILE)]


def shares(count: int, nouns: int, adjectives: int) -> tuple[int, int]:
    """Number of nouns and number of adjectives that are taken.

    Raises:
        ParamsError: more are asked for than there are candidates.

    Example:
        >>> shares(10, 15, 5)
        (8, 2)
    """
    if count > nouns + adjectives:
        raise ParamsError(
            f"{count} negative labels are to be mined from {nouns + adjectives} candidates; raise `candidates`"
        )
    own = int(count * (adjectives / (adjectives + nouns)))
    return count - own, own


def chosen(
    count: int, nouns: tuple[Sequence[str], Floats], adjectives: tuple[Sequence[str], Floats]
) -> list[tuple[str, float]]:
    """The negative labels with their q: adjectives, then nouns, each by ascending q.

    Args:
        count: N.
        nouns: the words, and q of each.
        adjectives: likewise.
    """
    some_nouns, some_adjectives = shares(count, len(nouns[0]), len(adjectives[0]))
    return [*_smallest(adjectives, some_adjectives), *_smallest(nouns, some_nouns)]


def _smallest(words: tuple[Sequence[str], Floats], count: int) -> list[tuple[str, float]]:
    names, q = words
    order = np.argsort(q, kind="stable")[:count]
    return [(names[row], float(q[row])) for row in order]
