"""Weights of a stranger: whatever their header holds, a look at it ends in words, fast and in little memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from shiftbench.audit.evidence import checkpoint_files
from shiftbench.base.errors import DataError

RNG = np.random.Generator
ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


def packed(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def deep(rng: RNG) -> bytes:
    start, end = [(b"[", b"]"), (b'{"a":', b"}")][rng.integers(2)]
    depth = int(rng.integers(2_000, 100_000))
    return packed(start * depth + b"1" + (end * depth if rng.integers(2) else b""))


def many(rng: RNG) -> bytes:
    """More objects than bytes that anybody needs: each empty list takes 56 bytes of Python's."""
    part = [b"[]", b"{}", b'""', b"0"][rng.integers(4)]
    return packed(b'{"a":[' + b",".join([part] * 6_000_000) + b"]}")


def size_of_nothing(rng: RNG) -> bytes:
    return int(rng.integers(0, 2**63)).to_bytes(8, "little") + b"{}"


def twice(rng: RNG) -> bytes:
    name = json.dumps("t" * int(rng.integers(0, 9))).encode()
    entry = name + b":" + json.dumps(ENTRY).encode()
    return packed(b"{" + entry + b"," + entry + b"}", b"\0" * 4)


def long_number(rng: RNG) -> bytes:
    return packed(b'{"a":' + b"9" * int(rng.integers(4_301, 9_999)) + b"}")


def noise(rng: RNG) -> bytes:
    return rng.bytes(int(rng.integers(0, 400)))


def no_object(rng: RNG) -> bytes:
    value = [7, "a", None, [ENTRY], True][rng.integers(5)]
    return packed(json.dumps(value).encode())


REFUSED: list[Callable[[RNG], bytes]] = [
    deep, many, size_of_nothing, twice, long_number, noise, no_object,
]  # fmt: skip


@pytest.mark.parametrize("draw", REFUSED, ids=lambda one: str(one.__name__))
def test_a_drawn_header_that_is_none_is_refused_in_words(tmp_path: Path, draw: Callable[[RNG], bytes]) -> None:
    file, rng = tmp_path / "w.safetensors", np.random.default_rng(0)
    for _ in range(1 if draw is many else 20):
        file.write_bytes(draw(rng))
        tracemalloc.start()
        with pytest.raises(DataError, match="is no safetensors file"):
            checkpoint_files.header(file)
        assert tracemalloc.get_traced_memory()[1] < 100e6
        tracemalloc.stop()
        assert checkpoint_files.classes(file) is None


STATED = [None, 7, [], {}, "7", "{", "[" * 99_999, '{"a": 1}', '["a", "a"', "NaN", "\ud800"]


@pytest.mark.parametrize("classes", STATED, ids=range(len(STATED)))
def test_classes_that_are_no_list_are_none(tmp_path: Path, classes: object) -> None:
    file = tmp_path / "w.safetensors"
    header = {"__metadata__": {"classes": classes}, "a": ENTRY}
    file.write_bytes(packed(json.dumps(header).encode(), b"\0" * 4))
    assert not checkpoint_files.classes(file)


def test_a_header_with_many_tensors_is_read(tmp_path: Path) -> None:
    """As many as nets have that are known here, and more."""
    file = tmp_path / "w.safetensors"
    header = {f"blocks.{number}.attention.weight": ENTRY for number in range(20_000)}
    file.write_bytes(packed(json.dumps(header).encode(), b"\0" * 4))
    assert len(checkpoint_files.header(file)) == 20_000
