"""The fast decoder: what OpenCV reads, of whatever encoder; of damaged bytes nothing: OpenCV says what is wrong."""

import io
import resource
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shiftbench.data import codecs, png

SEEDS = range(30)


def drawn(seed: int) -> tuple[np.random.Generator, NDArray[np.uint8]]:
    """Return a generator, and a picture of a drawn size, kind and roughness."""
    random = np.random.default_rng(seed)
    height, width = (int(size) for size in random.integers(1, 70, 2))
    shape = (height, width, 3) if random.random() < 0.6 else (height, width)
    rough = random.integers(0, 256, shape).astype(np.uint8)
    smooth = np.asarray(cv2.GaussianBlur(rough, (0, 0), 3.0), dtype=np.uint8)
    return random, [rough, smooth.reshape(shape), np.full_like(rough, 7)][int(random.integers(3))]


def encoded(random: np.random.Generator, pixels: NDArray[np.uint8]) -> bytes:
    """Encode with a drawn encoder, level and strategy; all five filters come about."""
    if random.random() < 0.3:
        return codecs.encode("png", pixels)
    if random.random() < 0.5:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=int(random.integers(10)))
        return buffer.getvalue()
    strategy, level = int(random.integers(5)), int(random.integers(10))
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    options = (cv2.IMWRITE_PNG_COMPRESSION, level, cv2.IMWRITE_PNG_STRATEGY, strategy)
    return cv2.imencode(".png", np.ascontiguousarray(ordered), options)[1].tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_pixels_are_those_that_were_encoded(seed: int) -> None:
    random, pixels = drawn(seed)
    for _ in range(10):
        found = png.decode(encoded(random, pixels))
        assert found is not None
        assert found.flags.c_contiguous
        assert found.flags.writeable
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_damaged_bytes_there_is_nothing(seed: int) -> None:
    """A bit turned, bytes left out, put in or repeated, parts of another picture."""
    random, pixels = drawn(seed)
    data, other = encoded(random, pixels), encoded(*drawn(seed + 1000))
    for _ in range(60):
        at, end = sorted(int(place) for place in random.integers(16, len(data) - 12, 2))
        flipped = bytes([data[at] ^ (1 << int(random.integers(8)))])
        forms = (
            data[:at] + flipped + data[at + 1 :],
            data[:at] + data[end + 1 :],
            data[:at] + random.bytes(int(random.integers(1, 9))) + data[at:],
            data[:at] + other[at:],
            data[:end] + data[at:],
        )
        bad = forms[int(random.integers(len(forms)))]
        found = png.decode(bad)
        assert found is None or bad in (data, other) or np.array_equal(found, pixels)


def _zeros(count: int) -> Iterator[bytes]:
    packer = zlib.compressobj(9)
    yield from (packer.compress(bytes(1 << 20)) for _ in range(count >> 20))
    yield packer.flush()


def test_pixels_that_inflate_to_more_than_the_header_says_take_no_memory() -> None:
    """A gigabyte of zeros in a megabyte, with right checksums, under the header of four pixels."""
    good = codecs.encode("png", np.zeros((2, 2), np.uint8))
    bomb = b"".join(_zeros(1 << 30))
    part = len(bomb).to_bytes(4) + b"IDAT" + bomb + zlib.crc32(b"IDAT" + bomb).to_bytes(4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert png.decode(good[:33] + part + good[-12:]) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "1", "I;16"])
def test_other_kinds_are_left_to_opencv(mode: str) -> None:
    buffer = io.BytesIO()
    picture = Image.fromarray(drawn(3)[1][..., 0] if drawn(3)[1].ndim == 3 else drawn(3)[1])
    picture.convert(mode).save(buffer, "PNG")
    assert png.decode(buffer.getvalue()) is None
