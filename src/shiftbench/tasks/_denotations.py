"""What answers to questions about tables denote, and whether two denote the same: numbers, dates, or plain words.

Source: the evaluator of WikiTableQuestions (ppasupat/WikiTableQuestions, evaluator.py 1.0.2; Pasupat and Liang, ACL
2015), by its rules. Differs: it is given dates and numbers of the truth that CoreNLP found (`targetCanon`), where the
truth may say them in words; here they are read from the texts alone.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

NEAR = 1e-6
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u00b4`", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
    }
)
_CITATION = re.compile(r"((?<!^)\[[^\]]*\]|\[\d+\]|[•♦†‡*#+])*$")
_DETAILS = re.compile(r"(?<!^)( \([^)]*\))*$")
_QUOTED = re.compile(r'^"([^"]*)"$')
_DATE = re.compile(r"(xx|xxxx|-?\d+)-(xx|\d+)-(xx|\d+)")


class Value(NamedTuple):
    """An item: its plain words and, where it is one, its number or date (year, month, day; -1: not said)."""

    words: str
    number: float | None = None
    date: tuple[int, int, int] | None = None


def same(answer: Sequence[str], truth: Sequence[str]) -> bool:
    """Tell whether an answer has as many different items as the truth, and each of the truth's among them."""
    given, wanted = (set(map(value, texts)) for texts in (answer, truth))
    return len(given) == len(wanted) and all(any(_match(a, b) for b in given) for a in wanted)


def value(text: str) -> Value:
    """Return what an item denotes.

    Example:
        >>> value("Ada (queen) [2]").words, value("1e3").number, value("1990-xx-xx").number
        ('ada', 1000.0, 1990.0)
    """
    words = plain(text)
    number = _number(text)
    if number is not None:
        return Value(words, number)
    date = _date(text)
    if date is None:
        return Value(words)
    return Value(words, float(date[0])) if date[1:] == (-1, -1) else Value(words, None, date)


def plain(text: str) -> str:
    """Return a text without diacritics, citations, details in parentheses, outer quotes, case and a final period."""
    bare = "".join(
        one for one in unicodedata.normalize("NFKD", text) if unicodedata.category(one) != "Mn"
    )
    found, before = bare.translate(_QUOTES), None
    while found != before:
        before = found
        for pattern, kept in ((_CITATION, ""), (_DETAILS, ""), (_QUOTED, r"\1")):
            found = pattern.sub(kept, found.strip())
    return " ".join(found.removesuffix(".").split()).lower()


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _date(text: str) -> tuple[int, int, int] | None:
    parts = _DATE.fullmatch(text.lower())
    if parts is None:
        return None
    year, month, day = (-1 if part.startswith("xx") else int(part) for part in parts.groups())
    known = (month == -1 or 1 <= month <= 12) and (day == -1 or 1 <= day <= 31)
    return (year, month, day) if known and (year, month, day) != (-1, -1, -1) else None


def _match(one: Value, other: Value) -> bool:
    if one.words == other.words:
        return True
    if one.number is not None and other.number is not None:
        return abs(one.number - other.number) < NEAR
    return one.date is not None and one.date == other.date
