"""The bytes of a sample in shards: members of a ustar archive, one for each payload field.

Members are sorted by field, with fixed metadata (mtime 0, mode 0644, owner 0). `shards` reads them.
"""

import tarfile

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
