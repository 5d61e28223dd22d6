"""A server whose jobs are pieces of Python, and which imports nothing else than asked: for tests."""

import sys
from types import ModuleType

from shiftbench.cli import warm_server


def snippet() -> None:
    """Run the last word of the job as Python."""
    exec(sys.argv[2], {})


if __name__ == "__main__":
    *preloaded, descriptor = sys.argv[1:]
    warm_server.PRELOADED = preloaded
    warm_server.GRACE = 0.5
    warm_server.prepare = lambda: snippet
    sys.modules["toy"] = ModuleType("toy")
    warm_server.main(int(descriptor))
