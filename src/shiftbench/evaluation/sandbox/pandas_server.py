"""The sandbox's server with pandas, but without Arrow, whose allocator starts a thread.

Only a process of one thread can isolate itself. For pandas, Arrow is not installed, and texts are Python objects. Like
`server.py`, which does the rest, it runs as a file of its own.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # an import of it fails
    runpy.run_path(str(Path(__file__).with_name("server.py")), run_name="__main__")
