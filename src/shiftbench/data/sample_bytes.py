"""The bytes of a sample in shards: members of a ustar archive, one for each payload field.

Members are sorted by field, with fixed metadata (mtime 0, mode 0644, owner 0). `unpack` is the inverse of `pack`.
"""

import tarfile
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.data import codecs

BLOCK = 512


def pack(sample: Sample, fields: dict[str, str]) -> bytes:
    """A sample's tar members, headers and padding included."""
    parts: list[bytes] = []
    for field in sorted(sample.fields):
        if field not in fields:
            raise DataError(f"{sample.key}: field {field!r} is not one of the task's: {', '.join(sorted(fields))}")
        extension = fields[field]
        data = codecs.encode(extension, sample.fields[field])
        member_header = header(f"{sample.key}.{extension}".encode(), len(data))
        parts += (member_header, data, bytes(-len(data) % BLOCK))
    return b"".join(parts)


def header(name: bytes, size: int) -> bytes:
    """Ustar header of a file with mtime 0, owner 0:0 and mode 0644.

    The same bytes as `tarfile.TarInfo.tobuf`, which takes ten times as long and is used for long names only.
    """
    if len(name) > 100:
        return _long_header(name.decode(), size)
    beginning = b"%b0000644\x000000000\x000000000\x00%011o\x0000000000000\x00" % (name.ljust(100, b"\0"), size)
    total = sum(beginning) + _AFTER_SUM + 8 * ord(" ")
    return beginning + b"%06o\0 " % total + _AFTER


_AFTER = (b"0" + bytes(100) + b"ustar\x0000").ljust(BLOCK - 156, b"\0")
_AFTER_SUM = sum(_AFTER)


def _long_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError as error:
        raise DataError(f"key of {name!r} is too long for a tar header; shorten it") from error


def unpack(data: memoryview, key: str, wanted: dict[str, str]) -> dict[str, Any]:
    """Decode the wanted members of one sample; `wanted` maps extensions to fields.

    Raises:
        DataError: a header is invalid, or its member is longer than the sample.
    """
    fields: dict[str, Any] = {}
    start, name_start = 0, len(key) + 1
    while start < len(data):
        try:
            name, size = _read_header(data[start : start + BLOCK])
        except ValueError as error:  # no number, no UTF-8
            raise DataError(f"sample {key!r}: no header of a tar: {error}") from None
        if not 0 <= size <= len(data) - start - BLOCK:  # a negative size would be an endless loop
            raise DataError(f"sample {key!r}: member {name!r} states a size of {size} bytes")
        extension = name[name_start:]
        if extension in wanted:
            body = bytes(data[start + BLOCK : start + BLOCK + size])
            fields[wanted[extension]] = codecs.decode(extension, body)
        start += BLOCK + size + (-size % BLOCK)
    return fields


def _read_header(block: memoryview) -> tuple[str, int]:
    name = bytes(block[:100]).rstrip(b"\0").decode()
    prefix = bytes(block[345:500]).rstrip(b"\0").decode()
    return (f"{prefix}/{name}" if prefix else name), int(bytes(block[124:135]), 8)
