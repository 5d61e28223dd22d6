"""Draws of an attack: a few in every run, and more where one asks for them.

ATTACKS=20 ATTACKS_SEED=7 pytest tests/release/test_drawn_manifests.py    # twenty times as many, others
"""

import os
import random  # noqa: TID251 - of attacks, and seeded
from collections.abc import Iterator, Sequence
from typing import Any

PARTS = ("..", ".", "", "a", "data", "~", "-x", "C:", "\\..\\", "é", "e\u0301", "A", " ", "%2e%2e")
"""Of paths."""
ENDS = ("\0", "\n", "\r", "\x1b[2J", "\u202e", "\u2028", "\ud800", "\u200b", "/", "//", "/.", "/..")
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1 << 70, 10**41, 1e308, 0.5, float("nan"), float("inf")),
    *("", " ", "0", "null", "x" * 5_000, "\ud800", "\0", "\x1b[31m", "{{7*7}}", "[red]x[/]", "-1"),
    *([], {}, [[]], [None], {"": None}, {"path": "x"}, ["0" * 64], "--output=a", "HEAD"),
)
"""Of any other type than the one that is expected, and some of the same."""


def draws(few: int, what: str) -> Iterator[random.Random]:
    """Yield a generator for each draw; `what` tells one attack's draws from another's."""
    count = few * int(os.environ.get("ATTACKS", "1"))
    for number in range(count):
        yield random.Random(f"{what} {os.environ.get('ATTACKS_SEED', '')} {number}")


def path(draw: random.Random, targets: Sequence[str] = ()) -> str:
    """Return a path that leads nowhere, or elsewhere: above, from the root, too far, or to one of those wanted."""
    parts = draw.choices(PARTS, k=draw.randint(1, 5))
    kind = draw.randrange(6)
    if kind == 0 and targets:
        return draw.choice(targets)
    if kind == 1:
        return "/".join(["..", *parts])
    if kind == 2:
        return "/" + "/".join(parts)
    if kind == 3:
        return "/".join(parts) + draw.choice(ENDS)
    if kind == 4:
        return draw.choice(("a" * 256, "é" * 128, "a/" * 3_000 + "a", "a" * 70_000, "../" * 3_000))
    return "/".join(["a", *parts, "..", "..", "..", "secret"])


def nested(draw: random.Random) -> Any:
    """Return a value that is nested far deeper than any that one writes."""
    value: Any = 0
    for _ in range(draw.choice((101, 150, 400))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Return bytes that are not those given: cut, flipped, emptied, doubled, or with others within."""
    at, end = sorted((draw.randrange(len(data)), draw.randrange(len(data))))
    bit = bytes([data[at] ^ 1 << draw.randrange(8)])
    junk = draw.randbytes(draw.choice((1, 16, 4_000)))
    choice = draw.choice(
        (
            data[:at],
            data[at + 1 :],
            data[:at] + bit + data[at + 1 :],
            data[:at] + junk + data[at:],
            data[:at] + data[end + 1 :],
            data[:end] + data[at:],
            data[at:] + data[:at],
            junk,
            b"",
        )
    )
    return choice if choice != data else b""
