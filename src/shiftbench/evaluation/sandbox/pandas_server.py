"""The sandbox's server where pandas is preloaded: without Arrow, whose allocator starts a thread.

Only a process of one thread can leave the machine. To pandas Arrow is not installed; texts are Python's. Runs as a file
of its own, like `server.py`, which does the rest.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # an import of it fails
    runpy.run_path(str(Path(__file__).with_name("server.py")), run_name="__main__")
