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


def by_words(phrase: str, names: Sequence[str]) -> tuple[float, str] | None:
    """Link by the share of words in common, LEAST_SHARE to 1; 2 where a name is said as it is."""
    share, name = max((_likeness(phrase, name_option), name_option) for name_option in names)
    return (share, name) if share >= LEAST_SHARE else None


def _likeness(phrase: str, name: str) -> float:
    if phrase == name:
        return 2.0
    phrase_words, name_words = (set(re.findall(r"\w+", text.casefold())) for text in (phrase, name))
    return len(phrase_words & name_words) / len(phrase_words | name_words) if phrase_words | name_words else 0.0


def by_meaning(folder: Path) -> Link:
    """Function that links by the cosine of sentence vectors, LEAST_COSINE to 1.

    Args:
        folder: of the source of all-MiniLM-L6-v2 (`models/_sentences.py`).
    """
    from shiftbench.plugins.models import minilm

    embed = minilm.encoder(folder)

    def link(phrase: str, names: Sequence[str]) -> tuple[float, str] | None:
        vectors = embed([phrase, *names])
        cosine, name = max(zip((vectors[1:] @ vectors[0]).tolist(), names, strict=True))
        return (cosine, name) if cosine >= LEAST_COSINE else None

    return link


KNOWN = (0, 1)
"""Wordings of which patterns are made; the third is held out."""
_SLOT = re.compile(r"\{(\w+)\}")
_NUMBER = ("highest", "lowest", "mean_above", "difference", "all_above", "count")


def parsed(claim: str, columns: Sequence[Column], link: Link = by_words) -> Form | None:
    """The form of a claim that fits its table best; None where none fits.

    Args:
        claim: the sentence.
        columns: of the table.
        link: what finds the column that is meant.
    """
    candidates = [candidate for candidate in _candidates(claim, columns, link) if candidate is not None]
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def _candidates(claim: str, columns: Sequence[Column], link: Link) -> Iterator[tuple[tuple[float, int], Form] | None]:
    for operation, literal, pattern in _patterns():
        for slots in _ways(pattern, claim):
            yield _linked((operation, literal), slots, columns, link)


@cache
def _patterns() -> list[tuple[str, int, re.Pattern[str]]]:
    """Operation, letters outside of slots, and pattern of each known wording."""
    patterns = []
    for operation, wordings in _forms.OPERATIONS.items():
        for wording in (wordings[index] for index in KNOWN):
            parts = _SLOT.split(wording)
            text = "".join(f"(?P<{part}>.+?)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
            patterns.append((operation, sum(map(len, parts[::2])), re.compile(text)))
    return patterns


def _ways(pattern: re.Pattern[str], claim: str) -> Iterator[Mapping[str, str]]:
    """Yield the ways in which a claim has a pattern: slots as short as can be from the left, and as long."""
    for text in (pattern.pattern, pattern.pattern.replace(".+?", ".+")):
        match = re.fullmatch(text, claim)
        if match:
            yield match.groupdict()


def _linked(
    wording: tuple[str, int], slots: Mapping[str, str], columns: Sequence[Column], link: Link
) -> tuple[tuple[float, int], Form] | None:
    """Fit of slots to a table, and the form; None where a column or row is missing, or text is not a number."""
    operation, literal = wording
    if operation in _NUMBER and not _is_number(slots["value"]):
        return None
    linked = link(slots["column"], [candidate.name for candidate in columns])
    if linked is None:
        return None
    share, column = linked
    form = Form(operation, column, **{name: text for name, text in slots.items() if name != "column"})
    if operation in ("lookup", "not_lookup", "superlative", "difference"):
        key = next(
            (candidate.name for candidate in columns if candidate.name != column and _has(candidate, form)), None
        )
        if key is None:
            return None
        form = form._replace(key=key)
    return (share, literal), form


def _has(column: Column, form: Form) -> bool:
    entities = {form.entity, form.other} - {""}
    return column.kind == "text" and entities <= set(column.values)


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+\N{MINUS SIGN}]?[\d,]*\.?\d+", text))
