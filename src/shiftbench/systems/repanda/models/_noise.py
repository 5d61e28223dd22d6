"""Queries broken as models break them, and repaired by rule from what the error says.

A query is broken in up to four ways, each with a probability: a column without its quotes, in another case, a number
taken for text, a bracket too few. A rule sees the query, its error and the columns, never whether a claim is true.
"""

import re
from collections.abc import Callable, Sequence

from shiftbench.base.rng import RandomStream

_COLUMN = re.compile(r"df\['([^']+)'\]")


def broken(query: str, probability: float, rng: RandomStream) -> str:
    """Return a query in which each way to break it was taken with a probability; takes a word for each."""
    draws = rng.raw(len(_WAYS)) >> 11
    for way, draw in zip(_WAYS, draws.tolist(), strict=True):
        if draw / 2**53 < probability:
            query = way(query)
    return query


def _other_case(query: str) -> str:
    return _COLUMN.sub(lambda found: f"df['{found[1].swapcase()}']", query)


def _as_text(query: str) -> str:
    return re.sub(r"\.(max|min|mean)\(\)", r".str.strip().\1()", query, count=1)


def _without_quotes(query: str) -> str:
    return _COLUMN.sub(r"df[\1]", query, count=1)


def _without_bracket(query: str) -> str:
    at = query.rfind("]")
    return query[:at] + query[at + 1 :] if at >= 0 else query


_WAYS: tuple[Callable[[str], str], ...] = (_other_case, _as_text, _without_quotes, _without_bracket)


def repaired(query: str, error: str, columns: Sequence[str]) -> str:
    """Return the query after one repair, by the error's kind.

    Args:
        query: that failed.
        error: what Python said.
        columns: names of the table's.
    """
    kind = error.partition(":")[0]
    if kind == "SyntaxError":
        closed = _closed(query, columns)
        return closed if closed != query else _quoted(query, columns)
    if kind == "NameError":
        return _quoted(query, columns)
    if kind == "KeyError":
        return _named(query, columns)
    return query.replace(".str.strip()", "")


def _closed(query: str, columns: Sequence[str]) -> str:
    """Return the query with the bracket that a column lacks."""
    for name in columns:
        for quote in ("'", ""):
            for said in {name, name.swapcase()}:
                lacking = re.compile(rf"df\[{quote}{re.escape(said)}{quote}(?!['\w\]])")
                found = [one for one in lacking.finditer(query) if query[one.end() :][:1] != "]"]
                if found and query.count("[") > query.count("]"):
                    return f"{query[: found[-1].end()]}]{query[found[-1].end() :]}"
    return query


def _quoted(query: str, columns: Sequence[str]) -> str:
    for name in columns:
        for said in {name, name.swapcase()}:
            query = query.replace(f"df[{said}]", f"df['{said}']")
    return query


def _named(query: str, columns: Sequence[str]) -> str:
    known = {name.casefold(): name for name in columns}
    return _COLUMN.sub(lambda found: f"df['{known.get(found[1].casefold(), found[1])}']", query)
