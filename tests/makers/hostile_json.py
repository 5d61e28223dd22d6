"""Texts that are no JSON, or JSON with which Python cannot work."""

from __future__ import annotations

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
