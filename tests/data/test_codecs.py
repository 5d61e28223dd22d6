"""Codecs: what goes in comes out, the same bytes each time, and damage is told."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shiftbench.base.errors import DataError, RangeError
from shiftbench.contracts.shift_digests import picture
from shiftbench.data import codecs

GREY, COLOUR = picture(28, 28), picture(33, 57, 3)
ARRAY = codecs.encode("npy", np.arange(3.0))
VALUES = [
    ("png", GREY),
    ("png", COLOUR),
    ("png", COLOUR[::-1, ::2]),
    ("png", picture(1, 1)),
    ("mask.png", GREY),
    ("webp", COLOUR),
    ("txt", "naïve 日本 \r\n\0"),
    ("txt", ""),
    ("cls", 0),
    ("cls", 999),
    ("json", {"b": [1, 2.5, None, True], "a": "ü"}),
    ("npy", np.arange(6, dtype=np.float32).reshape(2, 3)),
    ("npy", np.arange(6).reshape(2, 3).T),
    ("npy", np.zeros((0, 2), bool)),
    ("query.npy", np.array(0.1)),
]


@pytest.mark.parametrize(("extension", "value"), VALUES)
def test_what_goes_in_comes_out(extension: str, value: Any) -> None:
    data = codecs.encode(extension, value)
    back = codecs.decode(extension, data)
    assert type(back) is type(value)
    assert codecs.pixel_digest(back) == codecs.pixel_digest(value)
    assert codecs.encode(extension, back) == data


def test_other_readers_see_the_same() -> None:
    for value in (GREY, COLOUR):
        with Image.open(io.BytesIO(codecs.encode("png", value))) as opened:
            assert np.array_equal(np.asarray(opened), value)
    assert codecs.encode("json", {"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'.encode()
    for array in (np.arange(6, dtype=">i2").reshape(2, 3).T, np.array([0.5, np.nan])):
        read = np.load(io.BytesIO(codecs.encode("npy", array)), allow_pickle=False)
        assert np.array_equal(read, array, equal_nan=True)
        assert read.dtype.byteorder in "=<"
    assert codecs.encode("cls", np.int64(7)) == b"7"
    assert codecs.decode("title.txt", codecs.encode("title.txt", "ü")) == "ü"
    assert codecs.encode("judged.json", [1, 2]) == codecs.encode("json", [1, 2])


def test_npy_bytes_are_the_known_ones() -> None:
    head = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }".ljust(117) + "\n"
    wanted = b"\x93NUMPY\x01\0\x76\0" + head.encode() + b"\x01\0\x02\0"
    assert codecs.encode("npy", np.array([1, 2], np.int16)) == wanted


def test_png_bytes_are_the_known_ones(golden: Callable[[str, Any], Any]) -> None:
    data = codecs.encode("png", GREY[:4, :4]).hex()
    assert data == golden("grey", data)


@pytest.mark.parametrize(
    ("extension", "value", "message"),
    [
        ("png", [[1]], "an image is a uint8 array .* got list"),
        ("png", np.zeros((2, 2)), r"not empty; got float64 \(2, 2\)"),
        ("png", np.zeros((2, 2, 4), np.uint8), r"got uint8 \(2, 2, 4\)"),
        ("png", np.zeros((0, 2), np.uint8), r"got uint8 \(0, 2\)"),
        ("webp", GREY, "WebP has no grey images"),
        ("txt", 3, "a text is a str; got int"),
        ("txt", "\ud800", "cannot be written as UTF-8"),
        ("cls", "3", "a label is an int; got str '3'"),
        ("cls", True, "a label is an int; got bool"),
        ("json", {"a": float("nan")}, "cannot be written as JSON"),
        ("json", {"a": object()}, "cannot be written as JSON"),
        ("npy", [1.0], "bool, int or float; got list"),
        ("npy", np.array(["a"]), "bool, int or float; got <U1"),
        ("npy", np.array([{}]), "bool, int or float; got object"),
        ("pmg", GREY, r"no codec for extension 'pmg' \(did you mean png"),
    ],
)
def test_wrong_values_are_refused(extension: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        codecs.encode(extension, value)


def test_negative_label_is_refused() -> None:
    with pytest.raises(RangeError, match="0 or more; got -1"):
        codecs.encode("cls", -1)


@pytest.mark.parametrize(
    ("extension", "data", "message"),
    [
        ("png", b"", "truncated or no PNG: its end mark is missing after 0 bytes"),
        ("png", codecs.encode("png", COLOUR)[:-30], "truncated or no PNG"),
        ("png", codecs.encode("png", COLOUR)[:200] + codecs.encode("png", COLOUR)[-12:], "damaged PNG"),
        ("png", codecs.encode("png", COLOUR)[20:], "damaged PNG"),
        ("webp", codecs.encode("webp", COLOUR)[:-30], "damaged WebP"),
        ("webp", b"", "damaged WebP"),
        ("txt", b"\xff", "text is not UTF-8"),
        ("cls", b"-1", "a label is an ASCII decimal; got b'-1'"),
        ("cls", b"", "a label is an ASCII decimal"),
        ("json", b"{", "damaged JSON of 1 bytes"),
        ("json", b"[" * 99_999, "damaged JSON"),
        ("json", b"7" * 5_000, "damaged JSON"),
        ("npy", b"", "damaged npy of 0 bytes"),
        ("npy", ARRAY[:-1], "damaged npy"),
        ("npy", ARRAY + b"\0" * 8, "damaged npy"),
        ("npy", ARRAY.replace(b"<f8", b"|O8"), "dtype object; expected one of bool, int or float"),
        ("npy", b"\x93NUMPY\x02" + ARRAY[7:], r"format \(2, 0\); expected \(1, 0\)"),
        ("cls", b"7" * 5_000, "a label is an ASCII decimal"),
        ("png", codecs.encode("webp", COLOUR) + codecs.encode("png", COLOUR)[-8:], "damaged PNG"),
    ],
)
def test_damage_is_told(extension: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        codecs.decode(extension, data)


def test_digest_sees_value_type_and_shape() -> None:
    values = [GREY, GREY.T, GREY.reshape(-1), GREY.astype(np.int16), GREY ^ 1, "1", 1, 1.0, None, [1]]
    assert len({codecs.pixel_digest(value) for value in values}) == len(values)
    assert codecs.pixel_digest(COLOUR[:, ::2]) == codecs.pixel_digest(COLOUR[:, ::2].copy())
