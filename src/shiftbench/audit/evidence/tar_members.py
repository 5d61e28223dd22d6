"""Members of a tar, parsed without tarfile: header, name, data and padding."""

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import NamedTuple

from shiftbench.base.errors import DataError
from shiftbench.data.sample_bytes import BLOCK


class Header(NamedTuple):
    """The header of a member, and the place of its data.

    Attributes:
        name: with its folder.
        block: the header itself.
        start: the first byte of the data.
        size: of the data, in bytes.
    """

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
    """One member.

    Attributes:
        name: with its folder.
        head: the header block.
        data: its bytes.
        padding: what fills the last block.
    """

    name: str
    head: bytes
    data: bytes
    padding: bytes

    def extension(self, key: str) -> str:
        """The name after the sample's key and a dot."""
        return self.name[len(key) + 1 :]


def headers(data: bytes | memoryview | mmap, start: int, end: int) -> Iterator[Header]:
    """Yield the headers between two bytes.

    Raises:
        DataError: a header has no size.
    """
    while start < end:
        block = bytes(data[start : start + BLOCK])
        header = Header(name_of(block), block, start + BLOCK, _size_of(block))
        yield header
        start = header.next


def members(data: bytes | memoryview) -> list[Member]:
    """Parse consecutive members.

    Raises:
        DataError: a header has no size, or a member is longer than the data.
    """
    parts = []
    for header in headers(data, 0, len(data)):
        if header.next > len(data):
            raise DataError(f"the member {header.name!r} is longer than the rest of the file")
        body, padding = data[header.start : header.end], data[header.end : header.next]
        parts.append(Member(header.name, header.block, bytes(body), bytes(padding)))
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
