"""Members of a tar: header, name and data.

They are parsed here, without `tarfile` and `data.shards`, because the reader of a run skips what it does not expect.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import NamedTuple

from shiftbench.base.errors import DataError
from shiftbench.data.sample_bytes import BLOCK


class Header(NamedTuple):
    """The header block of a member, and the place of its data in bytes."""

    name: str
    block: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        """The first byte after the data."""
        return self.start + self.size

    @property
    def next(self) -> int:
        """Place of the next header: data are padded to whole blocks."""
        return self.end + -self.size % BLOCK


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name with the folder, header block, and data."""

    name: str
    head: bytes
    data: bytes

    def extension(self, key: str) -> str:
        """The name after the sample's key and a dot."""
        return self.name[len(key) + 1 :]


def headers(data: bytes | memoryview | mmap, start: int, end: int) -> Iterator[Header]:
    """Yield the headers between two bytes; a header without a size is a DataError."""
    while start < end:
        block = bytes(data[start : start + BLOCK])
        header = Header(name_of(block), block, start + BLOCK, _size_of(block))
        yield header
        start = header.next


def members(data: bytes | memoryview) -> list[Member]:
    """Parse consecutive members; a member that is longer than the data is a DataError."""
    parts = []
    for header in headers(data, 0, len(data)):
        if header.next > len(data):
            raise DataError(f"the member {header.name!r} is longer than the rest of the file")
        parts.append(Member(header.name, header.block, bytes(data[header.start : header.end])))
    return parts


def name_of(block: bytes) -> str:
    """Name that a header states; what is no UTF-8 is shown as escapes."""
    name = block[:100].rstrip(b"\0").decode(errors="backslashreplace")
    prefix = block[345:500].rstrip(b"\0").decode(errors="backslashreplace")
    return f"{prefix}/{name}" if prefix else name


def _size_of(block: bytes) -> int:
    try:
        size = int(block[124:135], 8)
    except ValueError:
        size = -1
    if size < 0:  # a negative one would lead back
        raise DataError(f"a header states no size: {block[124:136]!r}")
    return size
