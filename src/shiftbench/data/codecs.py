"""Codecs: how a payload field becomes the bytes of a tar member, by its extension, and back.

| extension            | value                               | bytes                                   |
| -------------------- | ----------------------------------- | --------------------------------------- |
| `png`, `mask.png`, `frames.png` | uint8 (h, w) or (h, w, 3) RGB | PNG: run-length deflate, adaptive filter |
| `webp`               | uint8 (h, w, 3) RGB                 | lossless WebP, method 0                 |
| `wav`                | int16 (n,), 16,000 a second         | WAV (PCM), see `audio.py`               |
| `txt`                | str                                 | UTF-8                                   |
| `cls`                | int >= 0                            | ASCII decimal                           |
| `json`               | None, bool, int, float, str, list, dict with str keys | sorted keys, no spaces |
| `npy`                | array of bool, int or float, any shape | NumPy's format 1.0, little-endian, C order |
| `NAME.txt`, `NAME.json`, `NAME.npy` | as without the name: a sample may have several | likewise |

Encoders are deterministic and lossless. PNG through OpenCV was chosen by measurement (see
docs/encoding.md): of the candidates whose bytes do not depend on the CPU it has the best trade between
size and speed, and its run-length strategy has no hash table whose layout could differ.
"""

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shiftbench.base.errors import DataError, RangeError, suggest
from shiftbench.data import audio, png

_PNG = (
    cv2.IMWRITE_PNG_COMPRESSION,  # naming a level also turns on the filters (else only "sub")
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
)
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # else OpenCV would look for another of its formats
_PNG_END = b"IEND\xaeB\x60\x82"
MAX_PIXELS = 80_000_000  # an image above is an accident or an attack; Pillow warns a little higher
_DIGITS = 18  # of a label, an int64
_KINDS = "biuf"  # of arrays: numbers need no pickle


def encode(extension: str, value: object) -> bytes:
    """`value` as the bytes of a tar member.

    Args:
        extension: a row of the table above.
        value: what that row names.

    Raises:
        DataError: unknown extension, or a value of another type, dtype or shape.
        RangeError: a negative label.
    """
    return _codec(extension)[0](value)


def decode(extension: str, data: bytes) -> Any:
    """Value of a tar member's bytes.

    Raises:
        DataError: unknown extension, or damaged or truncated bytes.
    """
    return _codec(extension)[1](data)


def pixel_digest(value: object) -> str:
    """A digest of a decoded value (32 hex digits): equal values, equal digests, whatever the codec.

    An array counts with dtype, shape and little-endian bytes; anything else with its type and its JSON.
    """
    state = hashlib.blake2b(digest_size=16)
    if isinstance(value, np.ndarray):
        ordered = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        state.update(f"{ordered.dtype.str} {value.shape} ".encode())
        state.update(ordered.data)
    else:
        state.update(f"{type(value).__name__} ".encode() + _encode_json(value))
    return state.hexdigest()


def _codec(extension: str) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    name, _, plain = extension.rpartition(".")
    try:
        return _CODECS[plain if name and plain in ("txt", "json", "npy") else extension]
    except KeyError:
        raise DataError(f"no codec for extension {extension!r} ({suggest(extension, _CODECS)})") from None


def image(value: object) -> NDArray[np.uint8]:
    """`value` if it is an image: uint8, (h, w) or (h, w, 3), not empty.

    Raises:
        DataError: it is not.
    """
    if not isinstance(value, np.ndarray):
        raise DataError(f"an image is a uint8 array (h, w) or (h, w, 3); got {type(value).__name__}")
    has_shape = value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3)
    if value.dtype != np.uint8 or not has_shape or not value.size:
        raise DataError(f"an image is a uint8 array (h, w) or (h, w, 3), not empty; got {value.dtype} {value.shape}")
    return value


def _encode_png(value: object) -> bytes:
    pixels = image(value)
    ordered = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    is_encoded, data = cv2.imencode(".png", ordered, _PNG)
    if not is_encoded:
        raise DataError(f"PNG encoder refused an image of shape {pixels.shape}")
    return data.tobytes()


def _decode_png(data: bytes) -> NDArray[np.uint8]:
    # OpenCV refuses these too, but does not say that bytes are missing, and writes to stderr.
    if not data.endswith(_PNG_END):
        raise DataError(f"truncated or no PNG: its end mark is missing after {len(data)} bytes")
    pixels = None
    if data.startswith(_PNG_BEGIN):
        _refuse_large(int.from_bytes(data[16:20]), int.from_bytes(data[20:24]), "PNG")
        plain = png.decode(data)
        if plain is not None:
            return plain
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"damaged PNG of {len(data)} bytes")
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return image(pixels)


def _refuse_large(width: int, height: int, what: str) -> None:
    """Refuse an image before memory is taken for it; a few bytes can state any size."""
    if width * height > MAX_PIXELS:
        raise DataError(f"{what} of {width} x {height} pixels; at most {MAX_PIXELS} are read")


def _encode_webp(value: object) -> bytes:
    pixels = image(value)
    if pixels.ndim != 3:
        raise DataError(f"WebP has no grey images; got shape {pixels.shape}, use png")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, method=0, quality=0)
    return buffer.getvalue()


def _decode_webp(data: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as picture:
            _refuse_large(*picture.size, "WebP")
            return np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"damaged WebP of {len(data)} bytes: {error}") from error


def _encode_text(value: object) -> bytes:
    if not isinstance(value, str):
        raise DataError(f"a text is a str; got {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"text cannot be written as UTF-8: {error}") from error


def _decode_text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"text is not UTF-8: {error}") from error


def _encode_label(value: object) -> bytes:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DataError(f"a label is an int; got {type(value).__name__} {value!r}")
    if value < 0:
        raise RangeError(f"a label is an index into the classes, 0 or more; got {value}")
    return b"%d" % value


def _decode_label(data: bytes) -> int:
    if not data.isdigit() or len(data) > _DIGITS:
        raise DataError(f"a label is an ASCII decimal; got {data[:20]!r}")
    return int(data)


_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _encode_json(value: object) -> bytes:
    try:
        text = _JSON.encode(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"cannot be written as JSON: {error}") from error
    return _encode_text(text)


def _decode_json(data: bytes) -> Any:
    try:
        return json.loads(_decode_text(data))
    except (ValueError, RecursionError) as error:  # a number of too many digits, too deep a nest
        raise DataError(f"damaged JSON of {len(data)} bytes: {error}") from error


def _encode_array(value: object) -> bytes:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in _KINDS:
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise DataError(f"an array is one of bool, int or float; got {kind}")
    ordered = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ordered, version=(1, 0))
    return buffer.getvalue()


def _decode_array(data: bytes) -> NDArray[Any]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"format {version}; expected (1, 0)")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind not in _KINDS:
            raise ValueError(f"dtype {dtype}; expected one of bool, int or float")
        values = np.frombuffer(data, dtype, offset=stream.tell())
        return values.reshape(shape, order="F" if by_column else "C")
    except ValueError as error:
        raise DataError(f"damaged npy of {len(data)} bytes: {error}") from error


_CODECS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    "png": (_encode_png, _decode_png),
    "mask.png": (_encode_png, _decode_png),
    "frames.png": (_encode_png, _decode_png),
    "webp": (_encode_webp, _decode_webp),
    "wav": (audio.encode, audio.decode),
    "txt": (_encode_text, _decode_text),
    "cls": (_encode_label, _decode_label),
    "json": (_encode_json, _decode_json),
    "npy": (_encode_array, _decode_array),
}
