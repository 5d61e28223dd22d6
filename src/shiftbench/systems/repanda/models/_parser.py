"""A semantic parser of claims about tables: slots by patterns of two wordings, columns and rows by the shared words.

Each wording that the parser may know becomes a pattern. If several patterns match, or one in several ways, the result
is the match whose slots fit the table best. A claim's column is the one that it names, else the one with most words in
common, else, with `by_meaning`, the one nearest in meaning. A row is found by its cell.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from shiftbench.data.tables import Column
from shiftbench.systems.repanda.datasets import _forms
from shiftbench.systems.repanda.datasets._forms import Form

Link = Callable[[str, Sequence[str]], tuple[float, str] | None]
"""Takes what is said and the columns' names; gives how well the best one fits, and its name; None: none does."""
LEAST_SHARE = 0.5
"""Share of words that a column's name has in common with what is said."""
LEAST_COSINE = 0.4
"""Of the sentence vectors of a column's name and of what is said. Of 0 to 0.8, it has most right less wrong queries on
200 validation claims whose columns are called otherwise (178; 173 at 0.2 and at 0.3, 170 at 0.5)."""


def by_words(said: str, names: Sequence[str]) -> tuple[float, str] | None:
    """Link by the share of words in common, LEAST_SHARE to 1; 2 where a name is said as it is."""
    share, name = max((_likeness(said, one), one) for one in names)
    return (share, name) if share >= LEAST_SHARE else None


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


KNOWN = (0, 1)
"""Wordings of which patterns are made; the third is held out."""
_SLOT = re.compile(r"\{(\w+)\}")
_NUMBER = ("highest", "lowest", "mean_above", "difference", "all_above", "count")


def parsed(claim: str, columns: Sequence[Column], link: Link = by_words) -> Form | None:
    """Return the form of a claim that fits its table best; None where none fits.

    Args:
        claim: the sentence.
        columns: of the table.
        link: what finds the column that is meant.
    """
    found = [one for one in _candidates(claim, columns, link) if one is not None]
    return max(found, key=lambda one: one[0])[1] if found else None


def _candidates(claim: str, columns: Sequence[Column], link: Link) -> Iterator[tuple[tuple[float, int], Form] | None]:
    for operation, literal, pattern in _patterns():
        for slots in _ways(pattern, claim):
            yield _linked((operation, literal), slots, columns, link)


@cache
def _patterns() -> list[tuple[str, int, re.Pattern[str]]]:
    """Return operation, letters outside of slots, and pattern of each known wording."""
    made = []
    for operation, wordings in _forms.OPERATIONS.items():
        for wording in (wordings[at] for at in KNOWN):
            parts = _SLOT.split(wording)
            text = "".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
            made.append((operation, sum(map(len, parts[::2])), re.compile(text)))
    return made


def _ways(pattern: re.Pattern[str], claim: str) -> Iterator[Mapping[str, str]]:
    """Yield the ways in which a claim has a pattern: slots as short as can be from the left, and as long."""
    for text in (pattern.pattern, pattern.pattern.replace(".+?", ".+")):
        found = re.fullmatch(text, claim)
        if found:
            yield found.groupdict()


def _linked(
    wording: tuple[str, int], slots: Mapping[str, str], columns: Sequence[Column], link: Link
) -> tuple[tuple[float, int], Form] | None:
    """Return how well slots fit a table, and the form; None where a column or a row is missing, or a number is none."""
    operation, literal = wording
    if operation in _NUMBER and not _is_number(slots["value"]):
        return None
    found = link(slots["column"], [one.name for one in columns])
    if found is None:
        return None
    share, column = found
    form = Form(operation, column, **{name: text for name, text in slots.items() if name != "column"})
    if operation in ("lookup", "not_lookup", "superlative", "difference"):
        key = next((one.name for one in columns if one.name != column and _has(one, form)), None)
        if key is None:
            return None
        form = form._replace(key=key)
    return (share, literal), form


def _has(column: Column, form: Form) -> bool:
    named = {form.entity, form.other} - {""}
    return column.kind == "text" and named <= set(column.values)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+\N{MINUS SIGN}]?[\d,]*\.?\d+", text))
