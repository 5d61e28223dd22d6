"""Which column a claim means: the one it names, else the one that shares most words, else the nearest in meaning."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

Link = Callable[[str, Sequence[str]], tuple[float, str] | None]
"""Takes what is said and the columns' names; gives how well the best one fits, and its name; None: none does."""
LEAST = 0.5
"""Share of words that a column's name has in common with what is said."""
LEAST_COSINE = 0.4
"""Of the sentence vectors of a column's name and of what is said. Of 0 to 0.8, it has most right less wrong queries on
200 validation claims whose columns are called otherwise (178; 173 at 0.2 and at 0.3, 170 at 0.5)."""


def by_words(said: str, names: Sequence[str]) -> tuple[float, str] | None:
    """Link by the share of words in common, LEAST to 1; 2 where a name is said as it is."""
    share, name = max((_likeness(said, one), one) for one in names)
    return (share, name) if share >= LEAST else None


def _likeness(said: str, name: str) -> float:
    if said == name:
        return 2.0
    one, other = (set(re.findall(r"\w+", text.casefold())) for text in (said, name))
    return len(one & other) / len(one | other) if one | other else 0.0


def by_meaning(folder: Path) -> Link:
    """Return what links by the cosine of sentence vectors, LEAST_COSINE to 1.

    Args:
        folder: of the source of all-MiniLM-L6-v2 (`models/_sentences.py`).
    """
    from shiftbench.plugins.models import minilm

    embed = minilm.encoder(folder)

    def link(said: str, names: Sequence[str]) -> tuple[float, str] | None:
        vectors = embed([said, *names])
        cosine, name = max(zip((vectors[1:] @ vectors[0]).tolist(), names, strict=True))
        return (cosine, name) if cosine >= LEAST_COSINE else None

    return link
