"""What answers to questions about tables denote, and whether two denote the same: numbers, dates, or plain words.

Source: the evaluator of WikiTableQuestions (ppasupat/WikiTableQuestions, evaluator.py 1.0.2; Pasupat and Liang, ACL
2015), by its rules. Numbers and dates of the truth may be given apart, as CoreNLP found them (`targetCanon`), where the
truth says them in words.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
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


def same(answer: Sequence[str], truth: Sequence[str], canon: Sequence[str] | None = None) -> bool:
    """Whether an answer has as many different items as the truth, and each of the truth's among them.

    Args:
        answer: items, as texts.
        truth: items, as texts.
        canon: of each of the truth its number or date as such; None: read from its text.
    """
    answers = _different(map(value, answer))
    truths = _different(map(value, truth, truth if canon is None else canon))
    return len(answers) == len(truths) and all(any(_match(a, b) for b in answers) for a in truths)


def value(text: str, canon: str = "") -> Value:
    """The denotation of an item: the words of its text, the number or date of `canon`, if it is given.

    Example:
        >>> value("Ada (queen) [2]").words, value("1e3").number, value("1990-xx-xx").number
        ('ada', 1000.0, 1990.0)
        >>> value("17 years", "17.0")
        Value(words='17 years', number=17.0, date=None)
    """
    words, said = plain(text), canon or text
    number = _number(said)
    if number is not None:
        return Value(words, number)
    date = _date(said)
    if date is None:
        return Value(words)
    return Value(words, float(date[0])) if date[1:] == (-1, -1) else Value(words, None, date)


def _different(values: Iterable[Value]) -> list[Value]:
    """One of each number, date, or words."""
    return list({one.number if one.number is not None else one.date or one.words: one for one in values}.values())


def plain(text: str) -> str:
    """A text without diacritics, citations, details in parentheses, outer quotes, case and a final period."""
    bare = "".join(one for one in unicodedata.normalize("NFKD", text) if unicodedata.category(one) != "Mn")
    cleaned, before = bare.translate(_QUOTES), None
    while cleaned != before:
        before = cleaned
        for pattern, kept in ((_CITATION, ""), (_DETAILS, ""), (_QUOTED, r"\1")):
            cleaned = pattern.sub(kept, cleaned.strip())
    return " ".join(cleaned.removesuffix(".").split()).lower()


def _number(text: str) -> float | None:
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


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
