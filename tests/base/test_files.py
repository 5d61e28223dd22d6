"""JSON that somebody else wrote: it is read as what it says, or refused by a ValueError; nothing else is raised."""

import json
import random  # noqa: TID251 - of texts, and seeded
from typing import Any

import pytest
import yaml

from makers.hostile_json import REFUSED
from shiftbench.base.files import from_json, from_yaml

INTEGERS = {
    "base 60": "1" + ":59" * 5000,
    "negative": "-1" + ":59" * 5000,
    "base 16": "0x" + "f" * 5000,
    "base 2": "0b" + "1" * 5000,
    "base 10": "9" * 5000,
    "tagged": '!!int "1' + ":59" * 5000 + '"',
}


@pytest.mark.parametrize("name", INTEGERS)
def test_a_yaml_integer_that_python_cannot_spell_is_refused(name: str) -> None:
    with pytest.raises(yaml.YAMLError, match="line 1, column .*too long") as caught:
        from_yaml(f"seed: {INTEGERS[name]}")
    assert len(str(caught.value)) < 300
    assert from_yaml("a: 1:59:59\nb: 0xffff") == {"a": 7199, "b": 65535}


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
