"""Members of a tar, taken apart without tarfile: header, name, data and padding as they lie there."""

from __future__ import annotations

from dataclasses import dataclass

from shiftbench.data.shards import BLOCK
from shiftbench.errors import DataError


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
        """Return what follows the sample's key and a dot."""
        return self.name[len(key) + 1 :]


def members(data: bytes | memoryview) -> list[Member]:
    """Take a run of members apart.

    Raises:
        DataError: a header has no size, or a member is longer than what is there.
    """
    found, at = [], 0
    while at < len(data):
        head = bytes(data[at : at + BLOCK])
        size = size_of(head)
        end = at + BLOCK + size
        padded = end + -size % BLOCK
        if padded > len(data):
            raise DataError(f"the member at byte {at} is longer than what is left")
        body, rest = bytes(data[at + BLOCK : end]), bytes(data[end:padded])
        found.append(Member(name_of(head), head, body, rest))
        at = padded
    return found


def size_of(head: bytes) -> int:
    """Return the size that a header states.

    Raises:
        DataError: it states none.
    """
    try:
        return int(head[124:135], 8)
    except ValueError:
        raise DataError(f"a header states no size: {head[124:136]!r}") from None


def name_of(head: bytes) -> str:
    """Return the name that a header states; what is no UTF-8 is shown as escapes."""
    name = head[:100].rstrip(b"\0").decode(errors="backslashreplace")
    prefix = head[345:500].rstrip(b"\0").decode(errors="backslashreplace")
    return f"{prefix}/{name}" if prefix else name
