"""Messages between the sandbox and its server: a length and JSON."""

import json
import os
import struct
from typing import Any


def send(file: int, content: dict[str, Any]) -> None:
    """Write a message."""
    data = json.dumps(content).encode()
    left = struct.pack("<Q", len(data)) + data
    while left:
        left = left[os.write(file, left) :]


def receive(file: int) -> dict[str, Any]:
    """Read a message.

    Raises:
        EOFError: the other side is gone.
    """
    (size,) = struct.unpack("<Q", _exactly(file, 8))
    content: dict[str, Any] = json.loads(_exactly(file, size))
    return content


def _exactly(file: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(file, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
