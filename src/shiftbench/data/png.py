"""Decoder of the PNG files of shards, in half of OpenCV's time: ISA-L inflates, a compiled loop undoes the filters.

OpenCV decodes all other PNG files (palettes, 16 bits, interlaced, damaged).
"""

import zlib
from collections.abc import Iterator

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

_CHANNELS = {(8, 0): 1, (8, 2): 3}
"""(bits, colour type) -> channels of what is decoded here: grey and RGB."""
_PLAIN = b"\0\0\0"  # deflate, adaptive filters, not interlaced
_IHDR, _IDAT = slice(16, 29), 33


def decode(data: bytes) -> NDArray[np.uint8] | None:
    """Pixels of a PNG, uint8 (h, w) or (h, w, 3) RGB; None: it is damaged, or not of this kind.

    Args:
        data: begins and ends as a PNG does.
    """
    header = data[_IHDR]
    channels = _CHANNELS.get((header[8], header[9])) if len(header) == 13 else None
    if channels is None or header[10:] != _PLAIN or not _is_intact(data, 12, 13):
        return None
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    row = width * channels
    size = height * (row + 1)
    inflate = isal_zlib.decompressobj()
    try:  # one byte more than there may be, so that a few bytes cannot take all memory
        raw = inflate.decompress(b"".join(_compressed(data)), size + 1)
    except (ValueError, isal_zlib.error):  # type: ignore[misc]  # its stub says an instance
        return None
    if len(raw) != size or not row or not inflate.eof or inflate.unused_data:
        return None
    framed = np.zeros((height + 1, channels + row), dtype=np.uint8)
    if not _unfilter(np.frombuffer(raw, dtype=np.uint8).reshape(height, row + 1), framed, channels):
        return None
    pixels = np.ascontiguousarray(framed[1:, channels:])
    return pixels.reshape((height, width, 3) if channels == 3 else (height, width))


def _compressed(data: bytes) -> Iterator[bytes]:
    """Yield the parts of the compressed pixels.

    Raises:
        ValueError: a part is damaged, or another chunk is among them.
    """
    start = _IDAT
    while data[start + 4 : start + 8] == b"IDAT":
        length = int.from_bytes(data[start : start + 4])
        if not _is_intact(data, start + 4, length):
            raise ValueError
        yield data[start + 8 : start + 8 + length]
        start += 12 + length
    if data[start + 4 :] != b"IEND\xaeB\x60\x82":
        raise ValueError


def _is_intact(data: bytes, at: int, length: int) -> bool:
    """Whether the checksum of a chunk, whose name begins at `at`, is correct."""
    end = at + 4 + length
    return zlib.crc32(memoryview(data)[at:end]) == int.from_bytes(data[end : end + 4])


@compiled
def _unfilter(  # noqa: C901 - five filters, and a compiled function calls no other
    raw: NDArray[np.uint8], pixels: NDArray[np.uint8], step: int
) -> bool:
    """Undo the filter of each row (PNG, third edition, section 9.2); False where a row names none of the five.

    Args:
        raw: uint8 (h, 1 + row): the filter's number, then the filtered bytes.
        pixels: uint8 (1 + h, step + row), to be filled except its first row and pixels, which are zero.
        step: bytes of a pixel.
    """
    height, row = raw.shape[0], raw.shape[1] - 1
    for y in range(height):
        kind = raw[y, 0]
        if kind == 0:
            for x in range(row):
                pixels[y + 1, x + step] = raw[y, x + 1]
        elif kind == 1:
            for x in range(row):
                pixels[y + 1, x + step] = raw[y, x + 1] + pixels[y + 1, x]
        elif kind == 2:
            for x in range(row):
                pixels[y + 1, x + step] = raw[y, x + 1] + pixels[y, x + step]
        elif kind == 3:
            for x in range(row):
                total = np.int32(pixels[y + 1, x]) + np.int32(pixels[y, x + step])
                pixels[y + 1, x + step] = np.uint8(raw[y, x + 1] + (total >> 1))
        elif kind == 4:
            for x in range(row):
                left, up = np.int32(pixels[y + 1, x]), np.int32(pixels[y, x + step])
                corner = np.int32(pixels[y, x])
                to_left, to_up = abs(up - corner), abs(left - corner)
                to_corner = abs(left + up - 2 * corner)
                guess = up if to_up <= to_corner else corner
                if to_left <= to_up and to_left <= to_corner:
                    guess = left
                pixels[y + 1, x + step] = np.uint8(raw[y, x + 1] + guess)
        else:
            return False
    return True
