"""Limit on the headers of tar archives: a few bytes may state a name of gigabytes."""

import gzip
from typing import IO

HEADER = 1 << 18
"""Bytes between two files of an archive: headers with long names, padding."""


class Counted:
    """A stream that gives the bytes that are allowed, and raises an error after them.

    Args:
        stream: of the archive, unpacked.
        error: what is raised.

    Attributes:
        allowed: bytes, as many as the archive said of what comes next.
    """

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, error: type[Exception]) -> None:
        self.stream, self.error, self.allowed = stream, error, HEADER

    def read(self, size: int) -> bytes:
        """At most `size` bytes of the stream.

        Raises:
            Exception: of the type `error`: there are more bytes than are allowed.
        """
        data = self.stream.read(size)
        self.allowed -= len(data)
        if self.allowed < 0:
            raise self.error(f"a header of the archive has more than {HEADER} bytes; it is refused")
        return data
