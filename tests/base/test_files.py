"""JSON that somebody else wrote: it is read as what it says, or refused by a ValueError; nothing else is raised."""

from __future__ import annotations

import json
import random  # noqa: TID251 - of texts, and seeded
from typing import Any

import pytest

from shiftbench.files import from_json

REFUSED: dict[str, str | bytes] = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "one too deep": "[" * 101 + "]" * 101,
    "mixed and deep": '[{"a":' * 60 + "1" + "}]" * 60,
    "not a number": '{"seconds": NaN}',
    "infinity": "[Infinity]",
    "less than all": "[-Infinity]",
    "a float beyond": "1e999",
    "an integer beyond": "9" * 41,
    "digits that Python refuses": "9" * 10_000,
    "a key twice": '{"a": 1, "b": 2, "a": 1}',
    "a key twice, spelled otherwise": '{"a": 1, "\\u0061": 2}',
    "a key twice inside": '[{"c": {"a": 1, "a": 1}}]',
    "half a pair": '"\\ud83d"',
    "half a pair as a key": '{"\\uDE00": 1}',
    "half a pair as bytes": b'"\xed\xa0\xbd"',
    "Latin-1": '{"ä": 1}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "nothing": "",
    "zeros": b"\0" * 64,
    "YAML": "a: 1",
    "two values": "{} {}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_json_that_python_cannot_work_with_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        from_json(REFUSED[name])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("seed", range(20))
def test_what_json_holds_is_returned(seed: int) -> None:
    value = _drawn(random.Random(seed), 0)
    text = json.dumps(value, ensure_ascii=bool(seed % 2), indent=seed % 3 or None)
    assert from_json(text) == from_json(text.encode()) == value


def test_the_deepest_that_is_read_can_be_written_again() -> None:
    text = "[" * 100 + "]" * 100
    assert json.dumps(from_json(text)) == text


@pytest.mark.parametrize("seed", range(20))
def test_damaged_json_raises_nothing_else(seed: int) -> None:
    drawn = random.Random(seed)
    data = bytearray(json.dumps(_drawn(drawn, 0), ensure_ascii=False).encode())
    for _ in range(50):
        data[drawn.randrange(len(data))] = drawn.randrange(256)
        try:
            from_json(bytes(data))
        except ValueError:
            continue


def _drawn(drawn: random.Random, depth: int) -> Any:
    """Return a value as shiftbench's own files may hold it."""
    kind = drawn.randrange(7 if depth < 5 else 5)
    if kind == 5:
        return [_drawn(drawn, depth + 1) for _ in range(drawn.randrange(5))]
    if kind == 6:
        return {f"k{at}😀": _drawn(drawn, depth + 1) for at in range(drawn.randrange(5))}
    leaves = (None, True, drawn.randrange(-(2**63), 2**64), drawn.gauss(0, 1e9), "ä\x00\\u😀")
    return leaves[kind]
