"""What braces in a path stand for is counted before it is made."""

import itertools
import random  # noqa: TID251 - of texts, and seeded
import tracemalloc

import braceexpand
import pytest

from shiftbench.base.errors import ParamsError
from shiftbench.data import places

BOMBS = {
    "a long range": "x{0..99999999999}.tar",
    "a range down": "x{99999999999..-5}.tar",
    "ranges": "x{0..9999}{0..9999}{0..9999}.tar",
    "letters": "{a..z}" * 20,
    "alternatives": "{a,b}" * 64,
    "nested ranges": "{x{0..999999999},b}",
    "nested alternatives": "{a{b{c{0..9999}{0..9999},d},e},f}",
    "braces that stand for themselves": "{x{0..999999999}}",
    "a step": "{0..999999999999..3}",
    "long names": "{0..99999}" + "a" * 100_000,
    "wide numbers": "{1.." + "0" * 4000 + "99999}",
    "numbers that Python refuses": "{1.." + "9" * 10_000 + "}",
    "deep": "{" * 5000 + "}" * 5000,
    "deep and many": "{a," * 2000 + "}" * 2000,
    "open": "{" * 5000,
    "closed": "a}b{c",
}


@pytest.mark.parametrize("name", BOMBS)
def test_braces_without_end_are_refused_at_once(name: str) -> None:
    tracemalloc.start()
    with pytest.raises(ParamsError, match="names more than 100,000|brace is not closed") as refused:
        places.places(BOMBS[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("seed", range(60))
def test_what_is_counted_is_what_is_expanded(seed: int) -> None:
    text = _drawn(random.Random(seed), 0)
    count, longest = places._measure(text)
    made = list(itertools.islice(braceexpand.braceexpand(text, escape=False), _ENOUGH))
    assert count == len(made) or len(made) == _ENOUGH <= count or "{a.." in text
    assert count >= len(made)
    assert longest >= max(map(len, made))


_ENOUGH = 2000


def _drawn(draw: random.Random, depth: int) -> str:
    parts = []
    for _ in range(draw.randint(0, 3)):
        kind = draw.randrange(6 if depth < 2 else 3)
        if kind == 0:
            parts.append(draw.choice(["", "x", "ab.tar", "-", "5..6"]))
        elif kind == 1:
            numbers = (draw.choice(["0", "7", "007", "-3", "12"]), draw.choice(["1", "09", "-2", "3"]))
            step = draw.choice(["", "", "..2", "..0", "..-3"])
            parts.append(f"{{{numbers[0]}..{numbers[1]}{step}}}")
        elif kind == 2:
            parts.append(draw.choice(["{a..c}", "{a..Z..4}", "{,}", "{a}", "{}"]))
        else:
            many = draw.randint(1, 3)
            parts.append(f"{{{','.join(_drawn(draw, depth + 1) for _ in range(many))}}}")
    return "".join(parts)
