"""A server whose jobs are pieces of Python, and which imports nothing else than asked: for tests."""

from __future__ import annotations

import json
import sys

from shiftbench.engine import server


def snippet() -> None:
    """Run the words of the job as Python."""
    exec(sys.argv[1], {})


if __name__ == "__main__":
    preloaded, descriptor = sys.argv[1:]
    server.PRELOADED = json.loads(preloaded)
    server.GRACE = 0.5
    server.prepare = lambda: snippet
    server.main(int(descriptor))
